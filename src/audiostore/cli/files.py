"""The commands of one file's life: put, ls, show, get, url, rm."""

from __future__ import annotations

import hashlib
import stat
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from io import FileIO
from pathlib import Path
from typing import Any

import click

from audiostore.cli.asking import confirmed
from audiostore.cli.parsing import (
    by,
    common_options,
    id_argument,
    owner_option,
    parse_lifetime,
    parse_metadata,
    place_options,
    text,
    text_option,
    yes_option,
)
from audiostore.cli.session import Session, pass_session
from audiostore.cli.showing import (
    as_file_name,
    as_words,
    counted,
    facts,
    lasting,
    moment,
    place,
    progress,
    show,
    show_files,
    shown,
    watched,
)
from audiostore.errors import AlreadyExists, NotFound, from_os_error
from audiostore.models import AudioFile
from audiostore.sizes import format_size
from audiostore.sources import Source
from audiostore.store import AudioStore
from audiostore.store.reading import verify


@click.command(short_help="Store a file for an owner.")
@click.argument("source", metavar="FILE|-", type=click.Path(dir_okay=False, allow_dash=True))
@owner_option
@place_options
@text_option("--filename", "The name people see (default: FILE's own).")
@text_option("--content-type", "Its media type (default: what the bytes are).")
@click.option("--meta", metavar="K=V", multiple=True, callback=by(parse_metadata), help="Remember this; repeatable.")
@text_option("--idempotency-key", "Put again with the same one: the first result comes back.")
@click.option("--move", is_flag=True, help="Remove FILE once it is stored.")
@common_options
@pass_session
def put(session: Session, /, source: str, *, meta: dict[str, str], move: bool, **wanted: Any) -> None:
    """Store FILE (- is standard input) for an owner, at a place in a book, and print its id.

    Either it is stored, recorded and counted, or nothing is: Ctrl-C leaves nothing behind.
    """
    if move and source == "-":
        raise click.UsageError("--move needs a FILE")
    store = session.store(create=True)
    with _readable(source, move=move, as_json=session.as_json) as readable:
        file = store.put(readable, metadata=meta, move=move, **wanted)
    show(file.as_dict(), as_json=session.as_json, text=file.id)
    if not session.as_json and sys.stderr.isatty():
        where = f", as {place(file)}" if any((file.project, file.chapter, file.section)) else ""
        told = f"{shown(file.filename)}, {format_size(file.size)}, {file.content_type}"
        click.echo(f"stored {told}, for {shown(file.owner)}{where}", err=True)


@click.command(short_help="List an owner's files.")
@owner_option
@place_options
@click.option("--long", "-l", is_flag=True, help="Also type, duration and key.")
@common_options
@pass_session
def ls(session: Session, /, *, long: bool, **wanted: Any) -> None:
    """List an owner's files, oldest first: id, size, time, place, filename. With --json, one document per line."""
    show_files(session.store().list(**wanted), as_json=session.as_json, long=long)


@click.command("show", short_help="Tell all that is recorded about a file.")
@click.argument("file", metavar="[ID]", required=False, callback=text("ID"))
@text_option("--path", "Look it up by its stored path (the key) instead; needs --owner.")
@text_option("--owner", "Only if it is theirs.")
@common_options
@pass_session
def show_file(session: Session, file: str | None, *, path: str | None, owner: str | None) -> None:
    """Tell all that is recorded about a file, whoever owns it, or only if it is --owner's."""
    if (file is None) == (path is None):
        raise click.UsageError("give an ID or --path, one of them")
    if path is not None and owner is None:
        raise click.UsageError("--path needs --owner")
    record = session.store().find(file, path=path, owner=owner)
    show(record.as_dict(), as_json=session.as_json, text=facts(_told(record)))


@click.command(short_help="Fetch a file's bytes.")
@id_argument
@owner_option
@click.option("--output", "-o", metavar="FILE|-", help="Where to (default: its own name, in this folder).")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@common_options
@pass_session
def get(session: Session, file: str, *, owner: str, output: str | None, force: bool) -> None:
    """Write a file's bytes to FILE, a folder, or standard output (-), and check them.

    All or nothing, except on standard output, where a mistake is only known at the end: see the exit code.
    """
    if output == "-" and session.as_json:
        raise click.UsageError("--json and -o - would both write to standard output")
    store = session.store()
    record = store.find(file, owner=owner)
    if output == "-":
        _to_stdout(store, record, as_json=session.as_json)
        return
    target = Path(output) if output is not None else Path(as_file_name(record.filename))
    if target.is_dir():
        target /= as_file_name(record.filename)
    if not target.parent.is_dir():
        raise click.UsageError(f"there is no folder {target.parent}")
    with (
        nullcontext() if force else _new_file(target),
        progress(target.name, record.size, as_json=session.as_json) as told,
    ):
        store.download_to(record, target, owner=owner, progress=lambda done, _: told(done))
    answer = {"id": record.id, "path": str(target), "size": record.size, "sha256": record.sha256}
    show(answer, as_json=session.as_json, text=f"{shown(target)}  {format_size(record.size)}")


@click.command(short_help="Sign a link to a file.")
@id_argument
@owner_option
@click.option(
    "--expires",
    metavar="DURATION",
    default="1h",
    show_default=True,
    callback=by(parse_lifetime),
    help="How long it works: 10m, 1h, 7d.",
)
@text_option("--download-as", "Make browsers save the file, under this name.")
@common_options
@pass_session
def url(session: Session, file: str, *, owner: str, expires: timedelta, download_as: str | None) -> None:
    """Print a link that plays the file and needs no login, until it expires. Whoever has the link can use it."""
    link = session.store().url(file, owner=owner, expires=expires, download_as=download_as)
    answer = {"id": file, "url": str(link), "expires_at": link.expires_at.isoformat()}
    show(answer, as_json=session.as_json, text=str(link))


@click.command(short_help="Delete files.")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@owner_option
@text_option("--project", "Everything in this project, uploads under way included.")
@click.option("--all", "everything", is_flag=True, help="Everything the owner has, their own quota included.")
@yes_option
@common_options
@pass_session
def rm(session: Session, ids: tuple[str, ...], *, owner: str, project: str | None, everything: bool, yes: bool) -> None:
    """Delete files: by id, or all of a project, or all of an owner (these two ask before)."""
    if bool(ids) + (project is not None) + everything != 1:
        raise click.UsageError("give IDs, or --project, or --all")
    store, missing = session.store(), list[str]()
    if ids:
        count, missing = _delete(store, ids, owner)
    else:
        what = f"everything of {shown(owner)}" + ("" if project is None else f" in project {shown(project)}")
        if not (yes or confirmed(f"Delete {what}?", session)):
            click.echo("nothing is deleted", err=True)
            return
        count = store.delete_owner(owner) if project is None else store.delete_project(owner, project)
    if not missing or session.as_json or count:
        told = f"deleted {counted(count, 'file')}"
        show({"deleted": count, "missing": missing}, as_json=session.as_json, text=told)
    if missing:
        raise NotFound(", ".join(f"file {each}" for each in missing))


def _delete(store: AudioStore, ids: Sequence[str], owner: str) -> tuple[int, list[str]]:
    # One that is missing must not save the others.
    missing: list[str] = []
    for each in ids:
        try:
            store.delete(each, owner=owner)
        except NotFound:
            missing.append(each)
    return len(ids) - len(missing), missing


@contextmanager
def _readable(source: str, *, move: bool, as_json: bool) -> Generator[Source]:
    """Give what ``put`` reads. A path stays one where it can, for then its size is known before the first byte."""
    if source == "-":
        # Unbuffered: a buffered read fills a whole block before Ctrl-C gets its turn.
        yield getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        return
    try:
        found = Path(source).stat()
    except FileNotFoundError as error:
        raise NotFound(source) from error
    regular = stat.S_ISREG(found.st_mode)
    if regular and (move or not watched(found.st_size, as_json=as_json)):
        yield source
        return
    name = Path(source).name if regular else None  # a pipe's, as of <(…), is no name
    with Path(source).open("rb", buffering=0) as file, progress(name or "", found.st_size, as_json=as_json) as told:
        yield _Watched(file, name, told)


class _Watched:
    """A file that tells how far it was read: storing on one disk is a link, so reading is what takes long."""

    def __init__(self, file: FileIO, name: str | None, told: Callable[[int], None]) -> None:
        self.name = name
        self._file = file
        self._told = told
        self._done = 0

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._done += len(block)
        self._told(self._done)
        return block


def _to_stdout(store: AudioStore, record: AudioFile, *, as_json: bool) -> None:
    digest, done, out = hashlib.sha256(), 0, sys.stdout.buffer
    with store.stream(record) as stream, progress(record.filename, record.size, as_json=as_json) as told:
        for chunk in stream:
            digest.update(chunk)
            out.write(chunk)
            done += len(chunk)
            told(done)
    out.flush()
    verify(record, digest.hexdigest())


@contextmanager
def _new_file(target: Path) -> Generator[None]:
    """Take the name *target*, which nothing may have, until the bytes replace what holds it."""
    try:
        target.open("xb").close()
    except FileExistsError as error:
        raise AlreadyExists(f"{target} (--force overwrites it)") from error
    except OSError as error:
        raise from_os_error(error, str(target)) from error
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _told(record: AudioFile) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("id", record.id),
        ("owner", record.owner),
        ("place", place(record)),
        ("filename", record.filename),
        ("key", record.key),
        ("backend", record.backend),
        ("size", f"{format_size(record.size)} ({record.size} bytes)"),
        ("sha256", record.sha256 or "-"),
        ("type", record.content_type),
        ("duration", lasting(record)),
        ("created", moment(record.created_at)),
    ]
    return [*rows, *((f"meta {shown(name)}", as_words(value)) for name, value in record.metadata.items())]
