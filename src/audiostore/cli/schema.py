"""The commands about the tables in Postgres: schema show, apply, check, write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from audiostore.catalogs.postgres import schema as scripts
from audiostore.catalogs.postgres.schema import Script, Standing
from audiostore.cli.outcomes import CommandLine, Outcome
from audiostore.cli.parsing import common_options
from audiostore.cli.session import Session, pass_session
from audiostore.cli.showing import columns, counted, show, shown
from audiostore.errors import ConfigurationError, from_os_error
from audiostore.models import Limits

_dsn_option = click.option("--dsn", metavar="URL", help="The database.  [default: DATABASE_URL of the settings]")


@click.group(cls=CommandLine, short_help="Show, apply or check the tables in Postgres.")
def schema() -> None:
    """Show, apply or check the tables in Postgres: what the catalog needs there, and who may do what with it."""


@schema.command("show", short_help="Print the SQL.")
@common_options
@pass_session
def show_schema(session: Session) -> None:
    """Print the SQL, script by script, as any client can run it: psql, an editor in a dashboard."""
    shipped = scripts.shipped()
    told = [_told(each) | {"sql": each.whole} for each in shipped]
    show({"scripts": told}, as_json=session.as_json, text=(each.whole for each in shipped))


@schema.command("apply", short_help="Bring a database to the newest version.")
@_dsn_option
@click.option("--again", is_flag=True, help="Run all scripts, e.g. since the app has a table user_credits now.")
@click.option(
    "--watch-objects/--no-watch-objects",
    default=None,
    help="Let Supabase's storage server hold every upload to its reservation itself, or not.  [default: as it is]",
)
@common_options
@pass_session
def apply_schema(session: Session, *, dsn: str | None, again: bool, watch_objects: bool | None) -> None:
    """Bring a database to the newest version. What ran already does not run twice, whoever else applies it now.

    New tables begin with the quotas and the bucket of the settings; later on the database's own numbers count.
    """
    settings = session.environment
    plans = {
        name: Limits(total=total, per_file=settings.max_file_size)
        for name, total in (("free", settings.free_quota), ("paid", settings.paid_quota))
    }
    url = _url(session, dsn)
    ran = scripts.apply(url, plans=plans, bucket=settings.supabase_bucket, again=again)
    if watch_objects is not None:
        scripts.watch_objects(url, wanted=watch_objects)
    answer = {"applied": [_told(each) for each in ran]}
    lines = [*(f"applied {each.label}" for each in ran), "" if ran else "nothing to do"]
    show(answer, as_json=session.as_json, text="\n".join(filter(None, lines)))


@schema.command("check", short_help="Compare a database with this version.")
@_dsn_option
@common_options
@click.pass_context
def check_schema(context: click.Context, *, dsn: str | None) -> None:
    """Compare a database with this version; exit code 6 unless every script was applied as it is. Changes nothing."""
    session = context.ensure_object(Session)
    url = _url(session, dsn)
    found = scripts.check(url)
    watched = scripts.watches_objects(url)
    ok = all(each.state == "applied" for each in found)
    told = [{"version": each.version, "name": each.name, "state": each.state} for each in found]
    answer = {"ok": ok, "scripts": told, "watches_objects": watched}
    show(answer, as_json=session.as_json, text=_checked(found, watched=watched))
    if not ok:
        context.exit(Outcome.FINDINGS)


@schema.command("write", short_help="Write migrations for the Supabase CLI.")
@click.option(
    "--dir",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("supabase/migrations"),
    show_default=True,
    help="Where they go.",
)
@common_options
@pass_session
def write_schema(session: Session, *, folder: Path) -> None:
    """Write the scripts as migrations of the Supabase CLI, under names that stay the same for ever.

    What is there already is left as it is. A file of that name with another text ends the command before it writes
    anything.
    """
    shipped = scripts.shipped()
    written = _write(shipped, folder)
    answer = {"folder": str(folder), "written": [each.migration for each in written]}
    lines = [*(shown(folder / each.migration) for each in written), "" if written else "nothing to do"]
    show(answer, as_json=session.as_json, text="\n".join(filter(None, lines)))


def _url(session: Session, dsn: str | None) -> str:
    url = dsn or session.environment.database_url
    if url is None:
        raise click.UsageError("which database? give --dsn, or set DATABASE_URL")
    return url


def _told(script: Script) -> dict[str, object]:
    return {"version": script.version, "name": script.name, "sha256": script.sha256}


def _checked(found: Sequence[Standing], *, watched: bool) -> Iterator[str]:
    yield from columns([(each.label, each.state) for each in found])
    open_ones = [each for each in found if each.state != "applied"]
    yield f"{counted(len(open_ones), 'script')} to apply" if open_ones else "all applied"
    yield f"uploads are {'' if watched else 'not '}held to their reservations by the storage server"


def _write(shipped: Sequence[Script], folder: Path) -> Sequence[Script]:
    try:
        missing = [each for each in shipped if not (folder / each.migration).exists()]
        for each in shipped:
            file = folder / each.migration
            if each not in missing and file.read_text("utf-8") != each.whole:
                raise ConfigurationError(f"{file} has another text; remove it to have it written anew")
        folder.mkdir(parents=True, exist_ok=True)
        for each in missing:
            (folder / each.migration).write_text(each.whole, "utf-8")
    except OSError as error:
        raise from_os_error(error, str(folder)) from error
    return missing
