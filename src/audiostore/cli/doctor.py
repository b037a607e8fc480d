"""The command that looks whether a store can do here what it promises: doctor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from audiostore.cli.checks import Check, examine
from audiostore.cli.outcomes import Outcome
from audiostore.cli.parsing import common_options
from audiostore.cli.session import Session
from audiostore.cli.showing import columns, show, shown
from audiostore.errors import AudioStoreError


@click.command(short_help="Look whether the store works here.")
@common_options
@click.pass_context
def doctor(context: click.Context) -> None:
    """Look whether the store works here: disk, clock, catalog, secret, and a round trip of a file of its own.

    A line for each check: "ok", or "fix" and how; exit code 6 if there is something to fix. A store that is not there
    yet is made, as the app would make it.
    """
    session = context.ensure_object(Session)
    checks = list(_examine(session))
    ok = all(each.fix is None for each in checks)
    told = [{"name": each.name, "ok": each.fix is None, "detail": each.detail, "fix": each.fix} for each in checks]
    show({"ok": ok, "checks": told}, as_json=session.as_json, text=_lines(checks))
    if not ok:
        context.exit(Outcome.FINDINGS)


def _examine(session: Session) -> Iterator[Check]:
    try:
        store = session.store(create=True)
    except AudioStoreError as error:
        yield Check(name="store", detail=str(error), fix="look at the settings, and at who may write there")
        return
    yield from examine(store, session.own_secret)


def _lines(checks: Sequence[Check]) -> Iterator[str]:
    rows: list[tuple[str, str, str]] = []
    for each in checks:
        told = each.detail if each.fix is None else f"{each.detail} -> {each.fix}"
        rows.append(("ok" if each.fix is None else "fix", each.name, shown(told)))
    return columns(rows)
