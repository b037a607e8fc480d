"""What people see: text that can't harm a terminal, columns, bars."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

import click

from audiostore.models import AudioFile, Usage
from audiostore.signing import HARMFUL, harmless, shorten
from audiostore.sizes import format_size

LONG = 16 * 1024 * 1024
"""A transfer of so many bytes gets a progress bar."""

_ROWS = 200


def shown(text: object) -> str:
    r"""Give *text* as one line that a terminal only prints.

    >>> print(shown("take\n\x1b[2J.wav"))
    take\n\x1b[2J.wav
    """
    return HARMFUL.sub(lambda match: match[0].encode("unicode_escape").decode(), str(text))


def as_file_name(filename: str) -> str:
    """Give the name under which a record's file can be saved here: no folders, nothing hidden, no option.

    >>> as_file_name("../../etc/passwd"), as_file_name(".bashrc"), as_file_name("Kapitel 1.mp3")
    ('_._.._etc_passwd', '_bashrc', 'Kapitel 1.mp3')
    """
    return shorten(re.sub(r"^[.\-~ ]", "_", harmless(filename))) or "audio"


def show(value: object, *, as_json: bool, text: str | Iterable[str]) -> None:
    """Print a command's whole answer: *value* as one JSON document, or *text*."""
    if as_json:
        click.echo(json.dumps(value))
    else:
        click.echo(text if isinstance(text, str) else "\n".join(text))


def show_files(files: Iterator[AudioFile], *, as_json: bool, long: bool) -> None:
    """Print any number of files, a line each, while they come."""
    while some := list(islice(files, _ROWS)):
        if as_json:
            click.echo("\n".join(json.dumps(each.as_dict()) for each in some))
        else:
            click.echo("\n".join(columns([_row(each, long=long) for each in some], right=(1,))))


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> Iterator[str]:
    """Give *rows* as lines, the cells of each column equally wide, those of columns *right* to the right."""
    widths = [max(_width(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    for row in rows:
        cells: list[str] = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _width(cell))
            cells.append(space + cell if index in right else cell + space)
        yield "  ".join(cells).rstrip()


def facts(pairs: Iterable[tuple[str, object]]) -> Iterator[str]:
    """Give a line for each name and value."""
    return columns([(name, shown(value)) for name, value in pairs])


def counted(count: int, what: str) -> str:
    """Write *count* of *what*, in the plural where it is due."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def moment(time: datetime) -> str:
    """Write a time for people, in their own zone."""
    return f"{time.astimezone():%Y-%m-%d %H:%M}"


def place(file: AudioFile) -> str:
    """Write where in a book *file* is, ``-`` for what is missing."""
    ids = (file.project, file.chapter, file.section)
    return shown("/".join(each or "-" for each in ids)) if any(ids) else "-"


def lasting(file: AudioFile) -> str:
    """Write how long *file* plays."""
    return "-" if file.duration is None else f"{file.duration:.1f} s"


def usage_lines(owner: str, usage: Usage) -> Iterator[str]:
    """Draw how full *owner* is, and tell it in numbers."""
    percent = usage.percent
    yield f"{shown(owner)}  {bar(percent)}  {percent:.1f} %" if percent is not None else f"{shown(owner)}  unlimited"
    files = f"in {counted(usage.files, 'file')}"
    allowed = "" if usage.limits.files is None else f" of {usage.limits.files}"
    pending = f"for {usage.pending} under way" if usage.pending else ""
    rows = [
        ("  used", format_size(usage.used), files + allowed),
        ("  reserved", format_size(usage.reserved), pending),
        ("  quota", format_size(usage.quota), f"at most {format_size(usage.limits.per_file)} each"),
        ("  available", format_size(usage.available), ""),
    ]
    yield from columns(rows, right=(1,))


@contextmanager
def progress(label: str, size: int | None, *, as_json: bool) -> Generator[Callable[[int], None]]:
    """Draw a bar for a transfer of *size* bytes if it is long and someone is looking; yields what moves it."""
    if not watched(size, as_json=as_json):
        yield lambda _: None
        return
    whole = format_size(size)

    def position(done: int | None) -> str:
        return f"{format_size(done)} of {whole}" if done is not None else whole

    with click.progressbar(
        length=size,
        label=_fitting(shown(label), 24),
        item_show_func=position,
        file=sys.stderr,
        bar_template="%(label)s  %(bar)s  %(info)s",
        fill_char=_blocks()[0],
        empty_char=_blocks()[1],
        width=24,
    ) as bar:
        yield lambda done: bar.update(done - bar.pos, done)


@contextmanager
def share_bar(label: str, *, as_json: bool) -> Generator[Callable[[float], None] | None]:
    """Draw a bar for work that tells what share of it is done, while someone is looking; yields what moves it."""
    if as_json or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1000, label=label, file=sys.stderr) as bar:
        yield lambda share: bar.update(round(share * 1000) - bar.pos)


@contextmanager
def tally(word: str, *, as_json: bool) -> Generator[Callable[[int], None]]:
    """Count files on one line of stderr while someone is looking; yields what tells the count."""
    if as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        yield lambda count: click.echo(f"\r{word} {counted(count, 'file')}", nl=False, err=True)
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)


def watched(size: int | None, *, as_json: bool) -> bool:
    """Tell whether a transfer of *size* bytes gets a progress bar."""
    return size is not None and size >= LONG and not as_json and sys.stderr.isatty()


def _row(file: AudioFile, *, long: bool) -> list[str]:
    row = [file.id, format_size(file.size), moment(file.created_at)]
    if long:
        row += [file.content_type, lasting(file)]
    row += [place(file), shown(file.filename)]
    return [*row, shown(file.key)] if long else row


def bar(percent: float, width: int = 24) -> str:
    """Draw how much of 100 *percent* is."""
    full, empty = _blocks()
    count = min(width, round(width * percent / 100))
    return full * count + empty * (width - count)


def _blocks() -> tuple[str, str]:
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower()
    return ("█", "░") if encoding.startswith("utf") else ("#", ".")


def _fitting(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _width(text: str) -> int:
    """Count the cells of a terminal that *text* takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) > 0 for each in text)


def as_words(value: Any) -> str:
    """Write a JSON value for people: text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
