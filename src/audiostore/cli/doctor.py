"""The command that looks whether a store can do here what it promises: doctor."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

import click

from audiostore.backends.local import LocalBackend
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.cli import cloud, database, deep, machine
from audiostore.cli.asking import confirmed
from audiostore.cli.checks import Check, Finding, Repair, examined
from audiostore.cli.database import Database
from audiostore.cli.outcomes import Outcome
from audiostore.cli.parsing import common_options, yes_option
from audiostore.cli.project import Project
from audiostore.cli.session import Session
from audiostore.cli.showing import show, shown
from audiostore.cli.trip import OWNER, round_trip
from audiostore.errors import AudioStoreError, ConfigurationError
from audiostore.settings import Settings
from audiostore.store import AudioStore


@click.command(short_help="Look whether the store works here.")
@click.option("--fix", is_flag=True, help="Mend what can be mended without harm: says what, and asks before.")
@click.option("--deep", "is_deep", is_flag=True, help="Walk through all that an app does, with an owner made for it.")
@yes_option
@common_options
@click.pass_context
def doctor(context: click.Context, *, fix: bool, is_deep: bool, yes: bool) -> None:
    """Look whether the store works here: settings, keys, bucket, disk, clock, catalog, and a round trip of a file.

    A line for each check: "ok", or "fix" and how; exit code 6 if there is something to fix. A store that is not there
    yet is made, as the app would make it. --fix makes a bucket that is missing, and a public one private.

    --deep puts, plays, replaces, uploads directly and deletes, and sees each time that it is recorded and charged, and
    that an owner who is full is refused. It cleans up, whatever fails.
    """
    if yes and not fix:
        raise click.UsageError("--yes needs --fix")
    session = context.ensure_object(Session)
    checks, fixed = list(_examine(session, is_deep=is_deep)), list[str]()
    repairs = [each.repair for each in checks if each.repair is not None]
    if fix and repairs:
        fixed = _mend(repairs, session, yes=yes)
        checks = list(_examine(session, is_deep=is_deep)) if fixed else checks
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


def _examine(session: Session, *, is_deep: bool) -> Iterator[Check]:
    try:
        settings = session.settings
        project = None if settings is None else Project.of(settings)
        postgres = None if settings is None else Database.of(settings, project)
    except ConfigurationError as error:
        yield Check(name="settings", detail=str(error), fix="set it, in the environment or in the file of --env-file")
        return
    wrong = set[str]()
    for check in () if project is None else cloud.examine(project):
        wrong |= set() if check.ok else {check.name}
        yield check
    # Over the REST API a project that does not answer would only tell the same again.
    if postgres is not None and (postgres.dsn is not None or not wrong & cloud.REACHED):
        for check in database.examine(postgres):
            wrong |= set() if check.ok else {check.name}
            yield check
    is_accounted = postgres is None or not wrong & (database.NEEDED | (set() if postgres.dsn else cloud.REACHED))
    yield from _of_parts(session, is_accounted=is_accounted, is_reached=not wrong & cloud.NEEDED, is_deep=is_deep)


def _of_parts(session: Session, *, is_accounted: bool, is_reached: bool, is_deep: bool) -> Iterator[Check]:
    """Look at the store itself. With the storage or the catalog away a trip proves nothing."""
    trips: list[Check] = []
    try:
        store = session.store(create=True)
        if is_accounted and (is_reached or not cloud.holds_new_files(store)):
            trips.append(examined("round trip", round_trip, store))
            trips += deep.walk(store) if is_deep else ()
        elif is_accounted:
            store.usage(OWNER)  # it makes a catalog that is not there yet, for the looks at it
    except (AudioStoreError, OSError) as error:
        if is_accounted:
            yield Check(name="store", detail=str(error), fix="look at the settings, and at who may write there")
        return
    yield from _of_store(store, session)
    yield from trips


def _of_store(store: AudioStore, session: Session) -> Iterator[Check]:
    backends = list(store.backends.values())
    catalog = store.catalog.path if isinstance(store.catalog, SQLiteCatalog) else None
    if catalog is not None:
        yield Check(name="catalog", detail=f"in SQLite on this machine: {catalog}")
    if len(backends) > 1:
        others = ", ".join(each.name for each in backends if each is not store.backend)
        yield Check(name="new files", detail=f"go to {store.backend.name}; those on {others} can be read")
        if cloud.holds_new_files(store):
            yield examined("fallback", lambda _: _fallback(store, session.settings), store)
    disk = next((each for each in backends if isinstance(each, LocalBackend)), None)
    if disk is not None:
        makes_secret, secret = store.backend is disk, session.own_secret
        local = machine.Local(store=store, root=disk.root, catalog=catalog, secret=secret, makes_secret=makes_secret)
        yield from machine.examine(local)


def _fallback(store: AudioStore, settings: Settings | None) -> str:
    first = store.backend.name
    if store.fallback is None:
        return f"none: while {first} is away, new files are refused (STORAGE_FALLBACK=local takes them in)"
    name = store.fallback.name
    if settings is not None and settings.secret is None:
        raise Finding(
            f"{name}, and links to what it takes in need a secret",
            "set AUDIOSTORE_SECRET, the same wherever the app runs",
        )
    return f"{name}: takes new files in while {first} is away, until audiostore promote brings them over"


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
