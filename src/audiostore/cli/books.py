"""export: a book of the store becomes files on this disk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from audiostore.cli.outcomes import Outcome
from audiostore.cli.parsing import by, common_options, owner_option, text_option
from audiostore.cli.session import Session
from audiostore.cli.showing import columns, counted, share_bar, show, shown
from audiostore.errors import InvalidBook, from_os_error
from audiostore.export import Book, Export, ExportOptions, export
from audiostore.export.options import BOOK_FORMATS, CHAPTER_FORMATS
from audiostore.export.projects import MAX_JSON
from audiostore.sizes import format_size

_Command = TypeVar("_Command", bound=Callable[..., Any])

_PAUSE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def parse_pause(text: str) -> timedelta:
    """Give *text* as a time of silence or fading.

    >>> parse_pause("1.5s"), parse_pause("250ms") == timedelta(milliseconds=250)
    (datetime.timedelta(seconds=1, microseconds=500000), True)

    Raises:
        ValueError: not a number with ms, s or m.

    """
    written = _PAUSE.fullmatch(text.strip().lower())
    if written is None:
        raise ValueError(f"not a pause: {text[:40]!r} (write e.g. 500ms, 1.5s, 1m)")
    return timedelta(seconds=float(written[1]) * _UNITS[written[2]])


def _pause(flag: str, help: str) -> Callable[[_Command], _Command]:
    return click.option(flag, metavar="TIME", callback=by(parse_pause), help=help)


@click.command("export", short_help="Make a book into files.")
@click.argument(
    "project_file",
    metavar="[PROJECT.JSON]",
    required=False,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@owner_option
@text_option("--project", "Instead of a file: all that the owner has stored in this project.")
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="The folder (default: EXPORT_FOLDER/TITLE)."
)
@click.option(
    "--format",
    "formats",
    type=click.Choice([*CHAPTER_FORMATS, *BOOK_FORMATS]),
    multiple=True,
    help="Several may be given: a file for each chapter, or (m4b, mp3-book) one of all (mp3).",
)
@text_option("--title", "Of the book.")
@text_option("--author", "Of the book.")
@_pause("--gap", "Silence between sections, e.g. 1.5s.")
@_pause("--chapter-gap", "Silence between chapters, where they are in one file.")
@_pause("--fade", "How long each section fades in and out.")
@click.option("--trim", is_flag=True, help="Cut silence off both ends of each section.")
@click.option("--loudness", type=click.Choice(["acx", "ebu_r128", "podcast"]), help="Bring each chapter to it.")
@click.option("--bit-rate", type=click.IntRange(6_000, 512_000), help="Of mp3, m4a, m4b and opus, e.g. 128000.")
@click.option("--cover", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A picture, JPEG or PNG.")
@click.option("--zip", is_flag=True, help="Write all of it into one ZIP, too.")
@click.option("--no-metadata", is_flag=True, help="Without metadata.json and texts.")
@click.option("--no-audio", is_flag=True, help="Only metadata.json and texts.")
@click.option("--strict", is_flag=True, help="Fail if a section has no audio that can be had.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@common_options
@click.pass_context
def export_book(context: click.Context, /, project_file: Path | None, owner: str, **words: Any) -> None:
    """Make a book into files: of the JSON that an app keeps of a project, or of all that is stored in a --project.

    Sections whose audio can't be had are told, and the exit code is 6; the rest is exported. Killed or stopped midway,
    the same command goes on with the chapters that are finished.
    """
    session = context.ensure_object(Session)
    store = session.store()
    if (project_file is None) == (words["project"] is None):
        raise click.UsageError("give a project file or --project, one of them", ctx=context)
    given = _wishes(words)
    if project_file is not None:
        text = _read(project_file)
        book = Book.from_project(text, owner=owner)
        options = ExportOptions.from_project(_flags(text), **given)
    else:
        book, options = Book.from_catalog(store, owner=owner, project=words["project"]), ExportOptions(**given)
    book = book.called(title=words["title"], author=words["author"])
    folder = words["to"] or _default_folder(session) / book.file_name
    with share_bar("export", as_json=session.as_json) as progress:
        done = export(
            store,
            book,
            to=folder,
            options=options,
            cover=words["cover"],
            overwrite=words["overwrite"],
            progress=progress,
        )
    show(done.as_dict() | {"folder": str(folder)}, as_json=session.as_json, text=_told(done, folder))
    for each in done.missing:
        click.echo(f"audiostore: missing: {shown(each)}", err=True)
    if done.missing:
        context.exit(Outcome.FINDINGS)


def _default_folder(session: Session) -> Path:
    return Path("exports") if session.settings is None else session.settings.export_folder


def _wishes(words: dict[str, Any]) -> dict[str, Any]:
    wishes: dict[str, Any] = {name: words[name] for name in ("gap", "chapter_gap", "fade", "loudness", "bit_rate")}
    wishes = {name: value for name, value in wishes.items() if value is not None}
    flags = {"trim": True, "zip": True, "no_metadata": False, "no_audio": False}
    wishes |= {name.removeprefix("no_"): value for name, value in flags.items() if words[name]}
    if words["formats"]:
        wishes["formats"] = words["formats"]
    if words["strict"]:
        wishes["on_missing"] = "raise"
    return wishes


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_JSON + 1)
    except OSError as error:
        raise from_os_error(error, str(path)) from error


def _flags(text: bytes) -> dict[str, Any]:
    # A book was made of it, so it is an object.
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise InvalidBook("", "not JSON") from error


def _told(done: Export, folder: Path) -> Iterator[str]:
    rows = [
        (shown(each.name), format_size(each.size), "" if each.duration is None else f"{each.duration:.1f} s")
        for each in done.files
    ]
    yield from columns(rows, right=(1, 2))
    absent = f", {counted(len(done.missing), 'section')} missing" if done.missing else ""
    yield f"{shown(folder)}  {counted(len(done.files), 'file')}, {format_size(done.size)}{absent}"
