"""migrate: a live app's audio moves, with what its projects say of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from audiostore.cli.outcomes import Outcome, outcome_of, say
from audiostore.cli.parsing import by, common_options, text
from audiostore.cli.session import Session
from audiostore.cli.showing import bar, columns, counted, shown
from audiostore.errors import ConfigurationError
from audiostore.sizes import format_size, parse_size

if TYPE_CHECKING:
    from audiostore.migrate import Migration, MigrationEvent, MigrationReport, References

_STEPS: Final = ("plan", "run", "verify", "rollback", "status")
_QUIET: Final = frozenset({"migrated", "duplicate", "already", "rolled_back", "waiting"})
"""Outcomes that a run of thousands need not tell one by one."""


@click.command(short_help="Move an app's audio from elsewhere into this store.")
@click.argument("step", type=click.Choice(_STEPS), default="run", metavar="[plan|run|verify|rollback|status]")
@click.option("--dry-run", is_flag=True, help="The same as plan: only tell what a run would do.")
@click.option(
    "--owner", "--user-id", metavar="TEXT", callback=text("--owner"), help="Only this owner's: the app's user id."
)
@click.option(
    "--upload-folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the files are.  [default: UPLOAD_FOLDER, or ./uploads]",
)
@click.option("--from", "backend", metavar="NAME", help="Instead: empty this store's backend of that name.")
@click.option(
    "--projects",
    metavar="WHERE",
    help="What names the files: an SQLite file, postgresql://..., or supabase.  [default: what the settings say]",
)
@click.option("--include", multiple=True, metavar="GLOB", help="Only names like this; may be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="But not names like this; may be repeated.")
@click.option("--prefix", multiple=True, metavar="TEXT", help="What stands before a name in projects, e.g. /audio/.")
@click.option("--workers", type=click.IntRange(1, 64), default=4, show_default=True, help="Files at a time.")
@click.option("--bandwidth", metavar="SIZE", callback=by(parse_size), help="At most so much a second, e.g. 10MB.")
@click.option("--in-place", is_flag=True, help="The folder is the store's own: record its files where they are.")
@click.option(
    "--check",
    type=click.Choice(["read", "etag"]),
    default="read",
    show_default=True,
    help="Verify by reading back, or trust the server's md5.",
)
@click.option("--delete-originals", is_flag=True, help="In the end, erase what has come over and nothing names.")
@click.option("--max-failures", type=click.IntRange(1), metavar="COUNT", help="Stop at so many.")
@click.option("--journal", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Where it is noted.")
@common_options
@click.pass_context
def migrate(context: click.Context, /, step: str, *, dry_run: bool, **options: Any) -> None:
    """Move an app's audio from elsewhere into this store, and let its projects name it there.

    Every file is copied, read back and recorded before any project names it in its new place. Stop it at any moment:
    run again, it goes on. What went wrong for a file is told and keeps no other waiting.

    In front of each line: + comes over, = is there, - is left out or taken back, * differs, ! can't be done.
    """
    session = context.ensure_object(Session)
    if dry_run and step not in {"run", "plan"}:
        raise click.UsageError(f"--dry-run tells what a run would do, not {step}")
    step = "plan" if dry_run else step
    with closing(_migration(session, **options)) as migration:
        events = getattr(migration, step)()
        with closing(events), _watching(as_json=session.as_json) as watched:
            for event in events:
                watched(event)
                if session.as_json:
                    click.echo(json.dumps(event.as_dict()))
                elif step in {"plan", "status"} or event.outcome not in _QUIET:
                    click.echo(_line(event))
        report: MigrationReport = events.report
    click.echo(json.dumps({"report": report.as_dict()}) if session.as_json else "\n".join(_summary(step, report)))
    if (outcome := _outcome(step, report)) is not Outcome.OK:
        say(outcome, as_json=session.as_json)
    context.exit(outcome)


def _migration(session: Session, **options: Any) -> Migration:
    from audiostore.migrate import Migration, SQLiteJournal  # slow to load, and few commands need it

    store = session.store(create=True)
    source: Any = _folder(session, options.pop("upload_folder"))
    if (name := options.pop("backend")) is not None:
        if name not in store.backends:
            raise ConfigurationError(f"this store has no backend {name!r}, only {', '.join(store.backends)}")
        source = store.backends[name]
    projects, journal = options.pop("projects"), options.pop("journal")
    references = _projects(session, projects) if name is None or projects is not None else None
    return Migration(
        source,
        store,
        references,
        None if journal is None else SQLiteJournal(journal),
        prefixes=options.pop("prefix"),
        **options,
    )


def _folder(session: Session, given: Path | None) -> Path:
    if given is not None:
        return given
    return session.folder if session.settings is not None else Path("uploads")


def _projects(session: Session, where: str | None) -> References:
    from audiostore.migrate import ProjectsTable

    settings = session.settings
    url, key = (None, None) if settings is None else (settings.supabase_url, settings.supabase_service_key)
    if where is None:
        if settings is not None and settings.database_url is not None:
            return ProjectsTable.postgres(settings.database_url)
        where = "supabase" if url is not None and key is not None else None
    if where is None:
        raise ConfigurationError("say where the projects are: --projects app.db, postgresql://… or supabase")
    if where == "supabase":
        if url is None or key is None:
            raise ConfigurationError("--projects supabase needs SUPABASE_URL and SUPABASE_SERVICE_KEY")
        return ProjectsTable.supabase(url=url, key=key)
    if where.startswith(("postgresql://", "postgres://")):
        return ProjectsTable.postgres(where)
    return ProjectsTable.sqlite(where)


@contextmanager
def _watching(*, as_json: bool) -> Generator[Callable[[MigrationEvent], None]]:
    """Draw on stderr how far it is while someone is looking."""
    if as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    size = 0

    def told(event: MigrationEvent) -> None:
        nonlocal size
        if event.step == "copy" and event.total:
            size += event.size if event.checked else 0
            share = bar(100 * event.done / event.total)
            click.echo(f"\r{share}  {event.done} of {event.total} files, {format_size(size)}\x1b[K", nl=False, err=True)
        elif event.step not in {"plan", "status"}:
            return
        if event.outcome not in _QUIET or event.step != "copy":
            click.echo("\r\x1b[K", nl=False, err=True)  # a line of the report comes

    try:
        yield told
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)


def _line(event: MigrationEvent) -> str:
    what = shown(event.path or f"project {event.project}")
    whose = f"  ({shown(event.owner)})" if event.owner else ""
    why = event.outcome if event.detail is None else f"{event.outcome}: {shown(event.detail)}"
    return f"{event.symbol} {what}{whose}  {why}"


def _summary(step: str, report: MigrationReport) -> Iterator[str]:
    rows = [
        ("found", counted(report.found, "file")),
        ("migrated" if step != "plan" else "there already", counted(report.migrated, "file")),
        ("failed", counted(report.failed, "file")),
        ("skipped (no references)", counted(report.skipped, "file")),
        ("data", f"{report.megabytes:.2f} MB"),
    ]
    others = {"waiting", "duplicate", "rolled_back", "kept"} & report.outcomes.keys()
    rows += [(each.replace("_", " "), counted(report.outcomes[each], "file")) for each in sorted(others)]
    rows += [(f"references {name}", str(count)) for name, count in sorted(report.references.items())]
    rows += [(f"verified by {name}", counted(count, "file")) for name, count in sorted(report.checked.items())]
    if report.erased:
        rows.append(("originals erased", counted(report.erased, "file")))
    if report.waiting:
        rows.append(("left to do", counted(report.waiting, "file")))
    if report.stopped is not None:
        rows.append(("stopped", shown(report.stopped)))
    yield from columns(rows)


def _outcome(step: str, report: MigrationReport) -> Outcome:
    if report.error is not None:
        return outcome_of(report.error)
    if report.stopped is not None:
        return Outcome.STOPPED
    if report.outcomes["mismatch"] and step == "verify":
        return Outcome.FINDINGS
    if report.failed or report.outcomes["kept"]:
        return Outcome.PARTLY
    return Outcome.NOTHING if report.idle and step != "verify" else Outcome.OK
