"""How a command ends: its exit code, and one line on stderr that says why."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NoReturn

import click

from audiostore.cli.showing import shown
from audiostore.errors import (
    AudioStoreError,
    ChecksumMismatch,
    ConfigurationError,
    FileTooLarge,
    InvalidBook,
    InvalidKey,
    NotFound,
    NotSupported,
    QuotaExceeded,
    ReservationExpired,
    StorageFull,
    Unavailable,
    from_os_error,
)
from audiostore.sizes import format_size


class Outcome(IntEnum):
    """The exit codes; each one's ``meaning`` is in the help."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Outcome:
        self = int.__new__(cls, code)
        self._value_ = code
        self.meaning = meaning
        return self

    OK = 0, "done"
    UNEXPECTED = 1, "a mistake of audiostore's own: please report it"
    USAGE = 2, "wrong usage or configuration"
    NOT_FOUND = 3, "no such file, or not this owner's"
    REFUSED = 4, "refused: quota, size, type, no permission, or the name is taken"
    UNAVAILABLE = 5, "storage or catalog is unavailable, or the disk is full: try again later"
    FINDINGS = 6, "findings: audit, doctor, a checksum, an export's missing sections"
    PARTLY = 7, "done as far as possible: some files were left, the output says why"
    NOTHING = 8, "there was nothing to do"
    STOPPED = 9, "stopped before the end: run it again to go on"
    INTERRUPTED = 130, "interrupted (Ctrl-C); what was begun is undone"
    UNREAD = 141, "the reader of our output went away (| head)"


_OUTCOMES: tuple[tuple[tuple[type[Exception], ...], Outcome], ...] = (
    ((NotFound,), Outcome.NOT_FOUND),
    ((ConfigurationError, InvalidBook, InvalidKey, NotSupported), Outcome.USAGE),
    ((Unavailable, StorageFull, ReservationExpired), Outcome.UNAVAILABLE),
    ((ChecksumMismatch,), Outcome.FINDINGS),
    ((AudioStoreError,), Outcome.REFUSED),
    ((UnicodeError,), Outcome.UNEXPECTED),
    ((ValueError,), Outcome.USAGE),  # the facade's word for an argument that can't be
)


class CommandLine(click.Group):
    """A group of commands whose every failure is told in the same way."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        as_json = "--json" in words
        try:
            # Not click's standalone mode: that has its own words for errors, and exit codes of its own.
            code = super().main(words, "audiostore", complete_var, standalone_mode=False, **extra)
        except click.Abort:
            _end(Outcome.INTERRUPTED, {"error": "Interrupted", "message": "interrupted"}, as_json=as_json)
        except click.ClickException as error:
            _end(Outcome.USAGE, {"error": "UsageError", "message": _usage(error)}, as_json=as_json)
        except Exception as error:  # noqa: BLE001 - the last door: whatever it is, it is told
            tell(error, as_json=as_json)
        sys.exit(code if isinstance(code, int) else Outcome.OK)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(Outcome.USAGE)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of a file's life, not of the alphabet

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _discard_output()
            ctx.exit(Outcome.UNREAD)


def tell(error: Exception, *, as_json: bool) -> NoReturn:
    """Say on stderr what went wrong, and exit with its code."""
    if isinstance(error, OSError) and not isinstance(error, AudioStoreError):
        _discard_output()
        error = from_os_error(error, str(error.filename or "standard output"))
    outcome = outcome_of(error)
    if outcome is Outcome.UNEXPECTED:
        if not as_json:
            traceback.print_exception(error)
        facts = {"error": type(error).__name__, "message": f"unexpected {type(error).__name__}: {error}"}
        _end(outcome, facts, as_json=as_json)
    _end(outcome, described(error), as_json=as_json, message=_for_people(error))


def say(outcome: Outcome, *, as_json: bool) -> None:
    """Say on stderr how a command ended that was not what was hoped for, and no error either."""
    facts = {"error": outcome.name.capitalize(), "message": outcome.meaning}
    click.echo(json.dumps(facts) if as_json else f"audiostore: {outcome.meaning}", err=True)


def outcome_of(error: Exception) -> Outcome:
    """Give the exit code for *error*."""
    return next((outcome for kinds, outcome in _OUTCOMES if isinstance(error, kinds)), Outcome.UNEXPECTED)


def described(error: Exception) -> dict[str, Any]:
    """Give *error* as JSON can hold it: its name, its message, its facts."""
    told: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    if isinstance(error, AudioStoreError):
        facts = {name: value for name, value in vars(error).items() if not name.startswith("_")}
        told |= {"retryable": error.retryable} | facts
    return told


def _end(outcome: Outcome, facts: dict[str, Any], *, as_json: bool, message: str | None = None) -> NoReturn:
    line = json.dumps(facts, default=str) if as_json else f"audiostore: {shown(message or facts['message'])}"
    click.echo(line, err=True)
    sys.exit(outcome)


def _for_people(error: Exception) -> str:
    """Write the bytes of *error* as sizes; what else it says is good as it is."""
    match error:
        case QuotaExceeded(kind="bytes"):
            used, reserved, needed = (format_size(each) for each in (error.used, error.reserved, error.needed))
            return (
                f"quota of {format_size(error.limit)} exceeded for owner {error.owner!r}: "
                f"{used} used, {reserved} reserved, {needed} needed"
            )
        case FileTooLarge():
            return f"file too large: more than the {format_size(error.limit)} allowed for one file"
        case StorageFull(needed=int()):
            return f"{error}: {format_size(error.needed)} needed, {format_size(error.free)} free"
        case Unavailable(retryable=True):
            return f"{error}; try again"
        case _:
            return str(error)


def _usage(error: click.ClickException) -> str:
    # In one line what click says in three.
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = "" if context is None else f" (see {context.command_path} --help)"
    return f"{error.format_message().rstrip('.')}{where}"


def _discard_output() -> None:
    """Let Python's last flush go nowhere, rather than complain a second time."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # stdout is no file: a test's, or closed
        return
