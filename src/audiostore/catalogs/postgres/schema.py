"""The SQL of the catalog: which scripts there are, what a database has of them, and how it gets the rest.

Every script may run any number of times; a run of one is one transaction, which also writes down that it ran.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from audiostore.errors import AudioStoreError, ConfigurationError, PermissionDenied, Unavailable
from audiostore.models import Limits

if TYPE_CHECKING:
    import psycopg

State: TypeAlias = Literal["applied", "pending", "changed", "unknown"]
"""``changed``: it ran, but with another text. ``unknown``: it ran, and this audiostore does not have it."""

_STAMP: Final = 20261122000000
"""The date of all scripts, for tools that go by it; the number of a script is added."""

_LOCK: Final = 0x617564696F73746F
_VERSIONS: Final = "audiostore.schema_versions"

# A large table takes longer than a role's own limit may be; and who waits for the app's locks makes the app wait.
_BEGIN: Final = f"""begin;
set local statement_timeout = 0;
select pg_advisory_xact_lock({_LOCK});
set local lock_timeout = '20s';
create schema if not exists audiostore;
create table if not exists {_VERSIONS} (
  version integer primary key,
  name text not null,
  sha256 text not null,
  applied_at timestamptz not null default now()
);
alter table {_VERSIONS} enable row level security;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One step of the schema."""

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return sha256(self.text.encode()).hexdigest()

    @property
    def label(self) -> str:
        return f"{self.version:04d}_{self.name}"

    @property
    def migration(self) -> str:
        """The file name by which the Supabase CLI knows it: the same for ever, so it never runs twice."""
        return f"{_STAMP + self.version}_audiostore_{self.label}.sql"

    @property
    def whole(self) -> str:
        """The script as anything that speaks SQL can run it: one transaction that writes down that it ran."""
        return f"-- audiostore {self.label}\n{_BEGIN}\n{self.text.rstrip()}\n\n{self.record}commit;\n"

    @property
    def record(self) -> str:
        # What a later script replaced may be as it was again: the later ones are due once more.
        return (
            f"delete from {_VERSIONS} where version >= {self.version};\n"  # noqa: S608 - our own words
            f"insert into {_VERSIONS} (version, name, sha256)\n"
            f"values ({self.version}, '{self.name}', '{self.sha256}');\n"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a database has of one script."""

    version: int
    name: str
    state: State

    @property
    def label(self) -> str:
        return f"{self.version:04d}_{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFacts:
    """What a database says of itself over any transport: the newest script that it wrote down (None: none), the bucket
    whose objects it accounts, and whether the storage server holds uploads to their reservations.
    """

    version: int | None
    bucket: str | None
    watches_objects: bool


@cache
def shipped() -> Sequence[Script]:
    """Give the scripts that came with the package, in their order."""
    folder = resources.files("audiostore.catalogs") / "sql" / "postgres"
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name)
    return tuple(_script(each.name.removesuffix(".sql"), each.read_text("utf-8")) for each in files)


def check(dsn: str, *, scripts: Sequence[Script] | None = None) -> Sequence[Standing]:
    """Compare the database with *scripts* (default: those that came with the package), without changing anything.

    Raises:
        Unavailable: the database could not be reached. PermissionDenied: it does not let us look.
        ConfigurationError: psycopg is missing.

    """
    with connected(dsn, "the schema") as connection:
        return _standings(connection, shipped() if scripts is None else scripts)


def apply(
    dsn: str,
    *,
    plans: Mapping[str, Limits] | None = None,
    bucket: str | None = None,
    again: bool = False,
    scripts: Sequence[Script] | None = None,
) -> Sequence[Script]:
    """Bring the database to the last of *scripts*; give those that ran. Any number of callers may try at once.

    What is to run begins with the first script that did not run as it is, and goes on to the last: a later one may
    replace what an earlier one makes. With *again* it is all of them: the app's own tables may have changed. New
    tables begin with *plans*, by name, and *bucket*; those that are there already stay as they are.

    Raises:
        ConfigurationError: the database is newer than *scripts*, or refuses one of them; psycopg is missing.
        PermissionDenied: the role may not do that. Unavailable: the database could not be reached.

    """
    wanted = shipped() if scripts is None else scripts
    ran: list[Script] = []
    with connected(dsn, "the schema") as connection:
        if again and _exists(connection, _VERSIONS):
            connection.execute(f"delete from {_VERSIONS} where version <= {wanted[-1].version}".encode())  # noqa: S608
        while (script := _next(_standings(connection, wanted), wanted)) is not None:
            with _told(script.label):
                if _run(connection, script, wanted, plans or {}, bucket):
                    ran.append(script)
    return ran


def address(dsn: str) -> str:
    """Give host and name of a database, and nothing else of what *dsn* holds. Raises what ``check`` raises."""
    with _told_without_psycopg():
        from psycopg import conninfo
    with _told("the address of the database"):
        given = conninfo.conninfo_to_dict(dsn)
    host, name = str(given.get("host") or "this machine"), str(given.get("dbname") or given.get("user") or "")
    return f"{name} on {'this machine' if host.startswith('/') else host}"


def watches_objects(dsn: str) -> bool:
    """Tell whether the storage server holds uploads to their reservations itself. Raises what ``check`` raises."""
    with connected(dsn, "the storage tables") as connection:
        found = connection.execute(
            "select from pg_trigger"
            " where tgrelid = to_regclass('storage.objects') and tgname = 'audiostore_object_changed'"
        )
        return found.fetchone() is not None


def watch_objects(dsn: str, *, wanted: bool) -> None:
    """Let the storage server hold every object to its reservation, or not.

    Raises:
        ConfigurationError: the schema was not applied, or there are no storage tables.
        PermissionDenied: the role may not do that. Unavailable: the database could not be reached.

    """
    with connected(dsn, "watch_objects") as connection:
        connection.execute("select audiostore.watch_objects(%s)", [wanted])


def _script(label: str, text: str) -> Script:
    version, _, name = label.partition("_")
    return Script(version=int(version), name=name, text=text)


def _next(found: Sequence[Standing], scripts: Sequence[Script]) -> Script | None:
    if unknown := [each.label for each in found if each.state == "unknown"]:
        raise ConfigurationError(
            f"the database has {', '.join(unknown)}, which this audiostore does not know: upgrade audiostore"
        )
    stale = {each.version for each in found if each.state != "applied"}
    return next((each for each in scripts if each.version in stale), None)


def _run(
    connection: psycopg.Connection[Any],
    script: Script,
    scripts: Sequence[Script],
    plans: Mapping[str, Limits],
    bucket: str | None,
) -> bool:
    try:
        connection.execute(_BEGIN.encode())
        # Somebody else may have been faster: what counts is what stands there under the lock.
        if turn := _next(_standings(connection, scripts), scripts) is script:
            is_new = not _exists(connection, "audiostore.plans")
            connection.execute(script.text.encode())
            connection.execute(script.record.encode())
            if is_new and _exists(connection, "audiostore.plans"):
                _begin_with(connection, plans, bucket)
        connection.execute("commit")
    except BaseException:
        if not connection.closed:
            connection.execute("rollback")
        raise
    return turn


def _begin_with(connection: psycopg.Connection[Any], plans: Mapping[str, Limits], bucket: str | None) -> None:
    if bucket is not None:
        connection.execute(
            "insert into audiostore.settings (name, value) values ('bucket', to_jsonb(%s::text))", [bucket]
        )
    for name, limits in plans.items():
        connection.execute(
            "insert into audiostore.plans (name, total, per_file, files) values (%s, %s, %s, %s) on conflict (name)"
            " do update set total = excluded.total, per_file = excluded.per_file, files = excluded.files",
            [name, limits.total, limits.per_file, limits.files],
        )


def _exists(connection: psycopg.Connection[Any], table: str) -> bool:
    return connection.execute("select to_regclass(%s) is not null", [table]).fetchone() == (True,)


def _standings(connection: psycopg.Connection[Any], scripts: Sequence[Script]) -> Sequence[Standing]:
    found: dict[int, tuple[str, str]] = {}
    if _exists(connection, _VERSIONS):
        query = f"select version, name, sha256 from {_VERSIONS}"  # noqa: S608 - our own words
        rows = connection.execute(query.encode())
        found = {version: (name, digest) for version, name, digest in rows}
    known = {each.version for each in scripts}
    return sorted(
        [
            *(Standing(version=each.version, name=each.name, state=_state(each, found)) for each in scripts),
            *(Standing(version=each, name=found[each][0], state="unknown") for each in found if each not in known),
        ],
        key=lambda each: each.version,
    )


def _state(script: Script, found: Mapping[int, tuple[str, str]]) -> State:
    if script.version not in found:
        return "pending"
    return "applied" if found[script.version][1] == script.sha256 else "changed"


@contextmanager
def connected(dsn: str, what: str) -> Generator[psycopg.Connection[Any]]:
    """Open a connection on which each statement counts at once; *what* is looked at is named in errors."""
    with _told_without_psycopg():
        import psycopg
    with _told(what), psycopg.connect(dsn, autocommit=True, connect_timeout=15) as connection:
        yield connection


@contextmanager
def _told_without_psycopg() -> Generator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError('Postgres needs an extra: pip install "audiostore[postgres]"') from error


@contextmanager
def _told(what: str) -> Generator[None]:
    """Say what Postgres says in our words; a connection string, which may hold a password, is in none of them."""
    import psycopg

    try:
        yield
    except AudioStoreError:
        raise
    except psycopg.errors.InsufficientPrivilege as error:
        raise PermissionDenied(f"{what} ({error.diag.message_primary})") from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        said = error.diag.message_primary or "no connection to the database"
        raise Unavailable(f"{what} ({said})", retryable=True) from error
    except psycopg.Error as error:
        # A connection string that can't be parsed comes without diagnosis, and may be quoted in the message.
        if (complaint := error.diag.message_primary) is None:
            raise ConfigurationError(f"{what}: the connection string is malformed") from None
        raise ConfigurationError(f"{what}: {complaint}") from error
