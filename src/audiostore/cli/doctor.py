"""The command that looks whether a store can do here what it promises: doctor."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from audiostore.backends.local import LocalBackend
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.cli import cloud, machine
from audiostore.cli.asking import confirmed
from audiostore.cli.checks import Check, Repair, examined
from audiostore.cli.outcomes import Outcome
from audiostore.cli.parsing import common_options, yes_option
from audiostore.cli.project import Project
from audiostore.cli.session import Session
from audiostore.cli.showing import show, shown
from audiostore.cli.trip import OWNER, round_trip
from audiostore.errors import AudioStoreError, ConfigurationError
from audiostore.store import AudioStore


@click.command(short_help="Look whether the store works here.")
@click.option("--fix", is_flag=True, help="Mend what can be mended without harm: says what, and asks before.")
@yes_option
@common_options
@click.pass_context
def doctor(context: click.Context, *, fix: bool, yes: bool) -> None:
    """Look whether the store works here: settings, keys, bucket, disk, clock, catalog, and a round trip of a file.

    A line for each check: "ok", or "fix" and how; exit code 6 if there is something to fix. A store that is not there
    yet is made, as the app would make it. --fix makes a bucket that is missing, and a public one private.
    """
    if yes and not fix:
        raise click.UsageError("--yes needs --fix")
    session = context.ensure_object(Session)
    checks, fixed = list(_examine(session)), list[str]()
    repairs = [each.repair for each in checks if each.repair is not None]
    if fix and repairs:
        fixed = _mend(repairs, session, yes=yes)
        checks = list(_examine(session)) if fixed else checks
    ok = all(each.ok for each in checks)
    told = [{"name": each.name, "ok": each.ok, "detail": each.detail, "fix": each.fix} for each in checks]
    show({"ok": ok, "fixed": fixed, "checks": told}, as_json=session.as_json, text=_lines(checks))
    if not ok:
        context.exit(Outcome.FINDINGS)


def _mend(repairs: Sequence[Repair], session: Session, *, yes: bool) -> list[str]:
    """Tell, ask, do; gives what was done. What can't be done is told, and the next look will tell it, too."""
    if not session.as_json:
        for each in repairs:
            click.echo(f"will {shown(each.what)}", err=True)
    if not (yes or confirmed("Go on?", session)):
        click.echo("nothing is changed", err=True)
        return []
    done: list[str] = []
    for each in repairs:
        try:
            each.do()
        except AudioStoreError as error:
            click.echo(f"can't {shown(each.what)}: {shown(error)}", err=True)
        else:
            done.append(each.what)
    return done


def _examine(session: Session) -> Iterator[Check]:
    try:
        settings = session.settings
        project = None if settings is None else Project.of(settings)
    except ConfigurationError as error:
        yield Check(name="settings", detail=str(error), fix="set it, in the environment or in the file of --env-file")
        return
    sound = True
    for check in () if project is None else cloud.examine(project):
        sound = sound and (check.ok or check.name not in cloud.NEEDED)
        yield check
    try:
        store = session.store(create=True)
        # It makes a catalog that is not there yet, for the looks at it. With the storage away a trip proves nothing.
        trip = [examined("round trip", round_trip, store)] if sound or not cloud.holds_new_files(store) else []
        if not trip:
            store.usage(OWNER)
    except (AudioStoreError, OSError) as error:
        yield Check(name="store", detail=str(error), fix="look at the settings, and at who may write there")
        return
    yield from _of_store(store, session.own_secret)
    yield from trip


def _of_store(store: AudioStore, secret: Path | None) -> Iterator[Check]:
    backends = list(store.backends.values())
    if len(backends) > 1:
        others = ", ".join(each.name for each in backends if each is not store.backend)
        detail = f"go to {store.backend.name}; those on {others} can be read"
        yield Check(name="new files", detail=detail)
        if isinstance(store.catalog, SQLiteCatalog):
            yield Check(name="accounts", detail=f"in SQLite on this machine: {store.catalog.path}")
    disk = next((each for each in backends if isinstance(each, LocalBackend)), None)
    if disk is not None and isinstance(store.catalog, SQLiteCatalog):
        catalog, makes_secret = store.catalog.path, store.backend is disk
        local = machine.Local(store=store, root=disk.root, catalog=catalog, secret=secret, makes_secret=makes_secret)
        yield from machine.examine(local)


def _lines(checks: Sequence[Check]) -> Iterator[str]:
    """Give a line for each check; to who looks at a terminal, no longer than it is wide, what to do below."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    state, name = 2 if all(each.ok for each in checks) else 3, max(len(each.name) for each in checks)
    indent = state + 2 + name + 2
    for each in checks:
        first = f"{'ok' if each.ok else 'fix':{state}}  {each.name:{name}}  "
        told = [each.detail] if each.ok else [each.detail, f"-> {each.fix}"]
        if width is None:
            yield first + shown(" ".join(told))
            continue
        lines = [line for part in told for line in _wrapped(shown(part), width - indent)]
        yield from (f"{first if number == 0 else ' ' * indent}{line}" for number, line in enumerate(lines))


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width), break_on_hyphens=False, subsequent_indent="  ")
