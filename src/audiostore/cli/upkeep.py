"""The commands that keep a store in order: sweep, audit. (doctor has a page of its own.)"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click

from audiostore.cli.outcomes import Outcome
from audiostore.cli.parsing import by, common_options, parse_duration, text_option
from audiostore.cli.session import Session, pass_session
from audiostore.cli.showing import columns, counted, show, shown
from audiostore.export import Exports
from audiostore.reports import AuditReport, Drift, SweepReport
from audiostore.sizes import format_size


@click.command(short_help="Finish or undo what was interrupted.")
@click.option("--orphans", is_flag=True, help="Also look for objects that no record knows.")
@click.option(
    "--grace",
    metavar="DURATION",
    callback=by(parse_duration),
    help="With --orphans: only those older than this, and erase them after this again.  [default: 1d]",
)
@common_options
@pass_session
def sweep(session: Session, *, orphans: bool, grace: timedelta | None) -> None:
    """Finish or undo what was interrupted, and remove exports in EXPORT_FOLDER that are expired.

    Run it every few minutes, e.g. from cron; any number at once is fine.
    """
    if grace is not None and not orphans:
        raise click.UsageError("--grace needs --orphans")
    store = session.store()
    report = (
        store.sweep() if not orphans else store.sweep(orphans=True, grace=timedelta(days=1) if grace is None else grace)
    )
    exports = _sweep_exports(session)
    show(asdict(report) | {"exports": exports}, as_json=session.as_json, text=_swept(report, exports))


@click.command(short_help="Compare ledger, records and bytes.")
@text_option("--owner", "Only this owner's.")
@click.option("--repair", is_flag=True, help="Count the ledger anew; queue what no record knows for removal in a day.")
@common_options
@click.pass_context
def audit(context: click.Context, owner: str | None, *, repair: bool) -> None:
    """Compare ledger, records and bytes; a line for each finding, and exit code 6 if there is one.

    Changes nothing without --repair, which can't bring back bytes that are missing or of another size.
    """
    session = context.ensure_object(Session)
    report = session.store().audit(owner, repair=repair)
    answer: dict[str, Any] = {"ok": report.ok, "files": report.files, "objects": report.objects}
    for name, findings in (("drift", report.drift), ("repaired", report.repaired)):
        answer[name] = [asdict(each) for each in findings]
    show(answer, as_json=session.as_json, text=_audited(report))
    if not report.ok:
        context.exit(Outcome.FINDINGS)


def _sweep_exports(session: Session) -> int:
    folder = None if session.settings is None else session.settings.export_folder
    if folder is None or not folder.is_dir():
        return 0
    swept = Exports(session.store(), folder).sweep()
    return swept.expired + swept.dead


def _swept(report: SweepReport, exports: int) -> Iterator[str]:
    counts = [
        (report.expired, "reservations expired"),
        (report.erased, "objects erased"),
        (report.postponed, "objects could not be erased, they wait for a later sweep"),
        (report.staging, "folders of dead processes removed"),
        (report.orphans, "orphans queued"),
        (exports, "exports expired, or cut off, removed"),
    ]
    rows = [(str(count), what) for count, what in counts if count]
    return columns(rows, right=(0,)) if rows else iter(["nothing to do"])


def _audited(report: AuditReport) -> Iterator[str]:
    told = [("", each) for each in report.drift] + [("repaired: ", each) for each in report.repaired]
    yield from columns([(mark + each.kind, *_finding(each)) for mark, each in told])
    found = counted(len(report.drift), "finding") if report.drift else "all agree"
    yield f"{counted(report.files, 'file')}, {counted(report.objects, 'object')}: {found}"


def _finding(drift: Drift) -> tuple[str, str]:
    where = shown(drift.key if drift.key is not None else drift.owner)
    match drift.kind:
        case "object_missing":
            return where, f"recorded with {format_size(drift.ledger)}, and not there"
        case "object_unrecorded":
            return where, f"{format_size(drift.truth)} that no record knows"
        case "size_differs":
            return where, f"recorded with {drift.ledger} bytes, is {drift.truth}"
        case _:
            return where, f"the ledger says {drift.ledger}, the records say {drift.truth}"
