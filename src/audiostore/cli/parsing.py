"""What people type, parsed once: durations, moments, sizes, ``key=value``; and the options that commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from audiostore.cli.session import Session
from audiostore.models import parse_text
from audiostore.sizes import parse_size

_T = TypeVar("_T")
_Command = TypeVar("_Command", bound=Callable[..., Any])

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+")


def parse_duration(text: str) -> timedelta:
    """Give *text* as a time span.

    >>> parse_duration("10m"), parse_duration("1h30m") == timedelta(minutes=90)
    (datetime.timedelta(seconds=600), True)

    Raises:
        ValueError: not a row of numbers with units s, m, h, d or w.

    """
    written = text.strip().lower()
    if not _DURATION.fullmatch(written):
        raise ValueError(f"not a duration: {text[:40]!r} (write e.g. 90s, 10m, 1h, 1h30m, 7d)")
    try:
        return sum(
            (timedelta(**{_UNITS[unit]: int(count)}) for count, unit in re.findall(r"([0-9]+)([smhdw])", written)),
            timedelta(),
        )
    except OverflowError as error:
        raise ValueError(f"too long a duration: {text[:40]!r}") from error


def parse_lifetime(text: str) -> timedelta:
    """Give *text* as a time span that is longer than nothing."""
    if (duration := parse_duration(text)) == timedelta():
        raise ValueError("must be longer than nothing")
    return duration


def parse_moment(text: str) -> datetime:
    """Give *text*, a date, a time or a duration from now, as an aware moment to come; without a zone it is local time.

    Raises:
        ValueError: none of them, or over already.

    """
    now = datetime.now(UTC)
    try:
        until = now + parse_duration(text) if _DURATION.fullmatch(text) else datetime.fromisoformat(text).astimezone()
    except OverflowError as error:
        raise ValueError(f"beyond the calendar: {text[:40]!r}") from error
    except ValueError as error:
        raise ValueError(f"not a moment: {text[:40]!r} (write e.g. 7d, 2027-01-31, 2027-01-31T18:00)") from error
    if until <= now:
        raise ValueError(f"over already: {text[:40]!r}")
    return until


def parse_limit(text: str) -> int | None:
    """Give *text*, a size or ``unlimited``, in bytes."""
    return None if text.lower() == "unlimited" else parse_size(text)


def parse_count(text: str) -> int | None:
    """Give *text*, a whole number or ``unlimited``."""
    if text.lower() == "unlimited":
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"not a number of files: {text[:40]!r} (write e.g. 100, or unlimited)")
    return int(text)


def parse_metadata(pairs: tuple[str, ...]) -> dict[str, str]:
    """Give ``key=value`` pairs as a mapping.

    Raises:
        ValueError: no ``=``, an empty key, or one that is given twice.

    """
    metadata: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"not key=value: {pair[:40]!r}")
        if parse_text("the key", key) in metadata:
            raise ValueError(f"given twice: {key!r}")
        metadata[key] = value and parse_text("the value", value)
    return metadata


def by(parse: Callable[[Any], _T]) -> Callable[[click.Context, click.Parameter, Any], _T | None]:
    """Let click parse an option with *parse*, and tell its ValueError as wrong usage."""

    def convert(context: click.Context, parameter: click.Parameter, value: Any) -> _T | None:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx=context, param=parameter) from error

    return convert


def text(name: str) -> Callable[[click.Context, click.Parameter, Any], str | None]:
    """Let click refuse text that no catalog can keep."""
    return by(partial(parse_text, name))


def text_option(flag: str, help: str, *, required: bool = False) -> Callable[[_Command], _Command]:
    """Make an option that takes text."""
    name = flag.removeprefix("--")
    return click.option(flag, metavar="TEXT", required=required, callback=text(name), help=help)


owner_option = text_option("--owner", "Whose it is: the app's user id.", required=True)
owner_argument = click.argument("owner", callback=text("OWNER"))
id_argument = click.argument("file", metavar="ID", callback=text("ID"))
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def place_options(command: _Command) -> _Command:
    """Add ``--project --chapter --section``."""
    for name in ("section", "chapter", "project"):
        command = text_option(f"--{name}", f"Of this {name}.")(command)
    return command


def common_options(command: _Command) -> _Command:
    """Add what every command takes, and the group too: which store, and whether the answer is JSON."""
    for option in reversed(
        (
            click.option(
                "--root",
                type=click.Path(file_okay=False, path_type=Path),
                metavar="FOLDER",
                help="The store in FOLDER; the environment is not read.",
                expose_value=False,
                callback=_into_session,
            ),
            click.option(
                "--env-file",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                metavar="FILE",
                help="Read KEY=VALUE lines of FILE instead of the environment.",
                expose_value=False,
                callback=_into_session,
            ),
            click.option(
                "--json",
                "as_json",
                is_flag=True,
                help="Answer in JSON, errors too.",
                expose_value=False,
                callback=_into_session,
            ),
        )
    ):
        command = option(command)
    return command


def _into_session(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    session = context.ensure_object(Session)
    if value:
        setattr(session, str(parameter.name), value)
    if session.root is not None and session.env_file is not None:
        raise click.UsageError("--root and --env-file exclude each other", ctx=context)
