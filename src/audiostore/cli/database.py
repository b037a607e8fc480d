"""What ``doctor`` looks at where the catalog is a Postgres: whether it answers, its schema, what holds uploads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from audiostore.catalogs.postgres import PostgresCatalog, guard
from audiostore.catalogs.postgres import schema as scripts
from audiostore.cli.checks import Check, Finding, examined
from audiostore.cli.project import BRIEF, Project
from audiostore.cli.showing import counted
from audiostore.errors import ConfigurationError
from audiostore.settings import Settings

NEEDED: Final = frozenset({"catalog", "schema"})
"""Without these a round trip would only tell the same again, later."""
_APPLY: Final = "audiostore schema apply"
_WRITE: Final = f"{_APPLY} --dsn ..., or audiostore schema write and supabase db push"
_LEVELS: Final = {
    0: "level 0: users' tokens can upload nothing; links that the store signs are looked at when they are finished",
    1: f"level 1: users' tokens can upload what was reserved, by the size declared; exactly: {_APPLY} --watch-objects",
    2: "level 2: the storage server itself holds every upload to its reservation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The Postgres that the settings choose for the catalog: by its address, or through the project's REST API."""

    dsn: str | None = field(repr=False)
    project: Project | None

    @classmethod
    def of(cls, settings: Settings, project: Project | None) -> Database | None:
        """Give the one of *settings*; None if the catalog is on this machine."""
        if settings.catalog == "sqlite":
            return None
        return cls(dsn=settings.database_url, project=project)

    def catalog(self) -> PostgresCatalog:
        if self.dsn is not None:
            return PostgresCatalog.connect(self.dsn, timeouts=BRIEF)
        assert self.project is not None  # one of the two is what made it a Postgres
        return PostgresCatalog.from_supabase(self.project.url, self.project.service_key, timeouts=BRIEF)


def examine(database: Database) -> Iterator[Check]:
    """Look at the database. What can't be seen because something before it is wrong is left out."""
    looks = [("catalog", _catalog), ("schema", _applied if database.dsn is None else _scripts)]
    if database.project is not None:
        looks.append(("direct uploads", _direct_uploads))
    for name, look in looks:
        yield (check := examined(name, look, database))
        if not check.ok and name in NEEDED:
            return


def _catalog(database: Database) -> str:
    if database.dsn is None:
        assert database.project is not None
        return f"in Postgres, over the REST API of {database.project.host}"
    with scripts.connected(database.dsn, "the database") as connection:
        row = connection.execute("show server_version").fetchone()
    version = "" if row is None else f", version {str(row[0]).split()[0]}"
    return f"in Postgres, {scripts.address(database.dsn)}{version}"


def _scripts(database: Database) -> str:
    """Compare script by script, as only a direct connection can."""
    assert database.dsn is not None
    found = scripts.check(database.dsn)
    if unknown := [each.label for each in found if each.state == "unknown"]:
        raise Finding(f"it has {', '.join(unknown)}, which this audiostore does not know", "upgrade audiostore")
    if due := [f"{each.label} ({each.state})" for each in found if each.state != "applied"]:
        raise Finding(f"to apply: {', '.join(due)}", _APPLY)
    _ask(database)
    return f"all {counted(len(found), 'script')} are applied"


def _applied(database: Database) -> str:
    """See what the functions tell: the newest script. Whether each is as it should be, they can't."""
    version, newest = _ask(database).version, scripts.shipped()[-1].version
    if version is None:
        return "it answers, and has no list of what was applied"
    if version > newest:
        raise Finding(f"version {version}, this audiostore has {newest}", "upgrade audiostore")
    if version < newest:
        raise Finding(f"version {version}, this audiostore has {newest}", _WRITE)
    return f"version {version}, the newest"


def _ask(database: Database) -> scripts.SchemaFacts:
    with closing(database.catalog()) as catalog:
        try:
            return catalog.schema()
        except ConfigurationError as error:
            raise Finding(str(error), _APPLY if database.dsn is not None else _WRITE) from error


def _direct_uploads(database: Database) -> str:
    assert database.project is not None
    facts, bucket = _ask(database), database.project.bucket
    if facts.bucket not in {None, bucket}:
        raise Finding(
            f"the database holds bucket {facts.bucket!r} to its reservations, SUPABASE_BUCKET is {bucket!r}",
            f"set it in the database: name 'bucket' in table audiostore.settings; or SUPABASE_BUCKET={facts.bucket}",
        )
    if database.dsn is None:
        if facts.watches_objects:
            return _LEVELS[2]
        return "level 0 or 1: policies can't be seen over the REST API, audiostore doctor with DATABASE_URL sees them"
    found = guard.look(database.dsn, bucket)
    if found.level is None:
        return "the storage tables are in another database: what users' tokens can upload can't be seen from here"
    if found.others and found.level < 2:  # noqa: PLR2004 - the level at which policies alone decide nothing
        raise Finding(
            f"policies let users write what was not reserved: {', '.join(map(repr, found.others))}",
            f"drop them (Storage > Policies), or {_APPLY} --watch-objects",
        )
    return _LEVELS[found.level]
