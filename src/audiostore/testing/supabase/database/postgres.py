"""A real Postgres behind PostgREST's routes: each request is one transaction, with the caller's role and claims."""

from __future__ import annotations

import importlib
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from audiostore.errors import ConfigurationError
from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.database import refusals
from audiostore.testing.supabase.database.asking import Query
from audiostore.testing.supabase.database.composing import Composer
from audiostore.testing.supabase.database.refusals import RestError, SqlError
from audiostore.testing.supabase.database.verbs import Call, Called, Changed, Insertion, Read, Target

_COLUMNS: Final = """
    select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a
    join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'v', 'm', 'f', 'p')
        and a.attnum > 0 and not a.attisdropped
    order by a.attnum
"""
_PRIMARY_KEY: Final = """
    select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
    where i.indisprimary and i.indrelid = format('%%I.%%I', %s::text, %s::text)::regclass
"""
_FUNCTIONS: Final = """
    select p.proretset, p.prorettype::regtype::text, t.typtype::text, coalesce(p.proargnames[:p.pronargs], '{}'),
        array(select format_type(each, null) from unnest(p.proargtypes) with ordinality as _(each, at) order by at),
        p.pronargs - p.pronargdefaults
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_type t on t.oid = p.prorettype
    where n.nspname = %s and p.proname = %s and p.prokind = 'f'
"""
_BE: Final = """
    select set_config('role', %s, true), set_config('request.jwt.claims', %s, true),
        set_config('search_path', '"public", "extensions"', true)
"""


@dataclass(frozen=True, slots=True)
class _Function:
    is_set: bool
    returns: str
    is_row: bool
    names: Sequence[str]
    types: Sequence[str]
    required: int

    def takes(self, given: Mapping[str, Any]) -> bool:
        return set(self.names[: self.required]) <= set(given) <= set(self.names)


class PostgresDatabase:
    """The database at *dsn*; its login must be allowed to take on the three roles, as ``authenticator`` is."""

    def __init__(self, dsn: str) -> None:
        if find_spec("psycopg") is None:
            raise ConfigurationError('FakeSupabase(database=…) needs an extra: pip install "audiostore[postgres]"')
        self._dsn = dsn

    @contextmanager
    def begin(self, actor: Actor) -> Generator[PostgresSession]:
        with self._connected() as connection, _translated(), connection.transaction():
            claims = actor.claims or {"role": actor.role}
            connection.execute(_BE, [actor.role, json.dumps(dict(claims))])
            yield PostgresSession(connection)

    def parameters(self, schema: str, name: str) -> frozenset[str]:
        with self._connected() as connection, _translated():
            found = _functions(connection, schema, name)
        return frozenset(each for function in found for each in function.names)

    @contextmanager
    def _connected(self) -> Generator[Any]:
        psycopg = importlib.import_module("psycopg")
        try:
            connection = psycopg.connect(self._dsn, autocommit=True, prepare_threshold=None)
        except psycopg.OperationalError:
            # What it complains of may hold the password.
            message = "Database connection error. Retrying the connection."
            raise RestError(503, "PGRST000", message) from None
        with connection:
            yield connection


@contextmanager
def _translated() -> Generator[None]:
    psycopg = importlib.import_module("psycopg")
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise RestError(503, "PGRST001", "Database client error. Retrying the connection.") from error
        said = error.diag
        message = str(said.message_primary)
        raise SqlError(message, code=error.sqlstate, details=said.message_detail, hint=said.message_hint) from error


class PostgresSession:
    """One transaction, with the caller's rights."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    # --- verbs --------------------------------------------------------------------------------------------------------

    def read(self, target: Target, query: Query, *, counted: bool) -> Read:
        columns = self._columns(target)
        write = Composer(target[1], list(columns))
        statement = write.text(
            "select row_to_json(shown)::text from (select {shown} from {source}{where}{order}{page}) as shown",
            shown=write.shown(query.columns),
            source=write.name(*target),
            where=write.where(query.tests),
            order=write.order(query.order),
            page=write.page(query),
        )
        rows = [each for (each,) in self._run(statement, write)]
        return Read(rows=rows, total=self._count(target, list(columns), query) if counted else None)

    def insert(self, target: Target, asked: Insertion, query: Query, *, returning: bool) -> Changed:
        columns = self._columns(target)
        _check_columns(target, columns, asked.columns)
        if not asked.rows:
            return Changed(rows=(), count=0, inserted=0)
        if asked.missing_is_default and any(set(each) != set(asked.columns) for each in asked.rows):
            raise refusals.not_in_the_fake("missing=default with a database")
        write = Composer(target[1], list(columns))
        typed = {name: columns[name] for name in asked.columns}
        source = write.text("default values")
        if typed:
            given = write.record("json_to_recordset", typed, json.dumps(list(asked.rows)))
            source = write.text("({names}) select {names} from {given}", names=write.names(list(typed)), given=given)
        statement = write.text(
            "insert into {target} {source}{conflict} returning {what}, " + ("xmax = 0" if asked.resolution else "true"),
            target=write.name(*target),
            source=source,
            conflict=self._conflict(target, asked, write),
            what=write.text("*" if returning else "1"),
        )
        return self._changed(write, statement, query, list(columns), returning=returning)

    def update(self, target: Target, changes: Mapping[str, Any], query: Query, *, returning: bool) -> Changed:
        columns = self._columns(target)
        _check_columns(target, columns, list(changes))
        if not changes:
            return Changed(rows=(), count=0)
        write = Composer(target[1], list(columns))
        given = write.record("json_to_record", {name: columns[name] for name in changes}, json.dumps(dict(changes)))
        statement = write.text(
            "update {target} set ({names}) = row({values}) from {given}{where} returning {what}, false",
            target=write.name(*target),
            names=write.names(list(changes)),
            values=write.names(list(changes), of="given"),
            given=given,
            where=write.where(query.tests),
            what=write.text("{table}.*" if returning else "1", table=write.name(target[1])),
        )
        return self._changed(write, statement, query, list(columns), returning=returning)

    def delete(self, target: Target, query: Query, *, returning: bool) -> Changed:
        columns = self._columns(target)
        write = Composer(target[1], list(columns))
        statement = write.text(
            "delete from {target}{where} returning {what}, false",
            target=write.name(*target),
            where=write.where(query.tests),
            what=write.text("*" if returning else "1"),
        )
        return self._changed(write, statement, query, list(columns), returning=returning)

    def call(self, schema: str, call: Call, query: Query) -> Called:
        known = _functions(self._connection, schema, call.name)
        given = {name: value for name, value in call.arguments.items() if call.posted or _is_known(name, known)}
        function = next((each for each in known if each.takes(given)), None)
        if function is None:
            raise refusals.no_function(schema, call.name, sorted(given), posted=call.posted)
        write = Composer("called", [])
        types = dict(zip(function.names, function.types, strict=True))
        arguments, source = [], write.text("")
        if given and call.posted:
            record = write.record("json_to_record", {name: types[name] for name in given}, json.dumps(given))
            source = write.text("{given}, lateral ", given=record)
            arguments = [write.text("{n} => given.{n}", n=write.name(name)) for name in given]
        elif given:
            arguments = [write.text("{n} => {v}", n=write.name(n), v=write.value(v)) for n, v in given.items()]
        called = write.text("{name}({given})", name=write.name(schema, call.name), given=write.joined(arguments))
        return self._called(function, write, source, called, query)

    # --- parts of those -----------------------------------------------------------------------------------------------

    def _called(self, function: _Function, write: Composer, source: Any, called: Any, query: Query) -> Called:
        page = write.page(query) if function.is_set else write.text("")
        one = "select row_to_json(called)::text from {source}{called} as called{page}"
        if not function.is_row:
            one = "select to_json(called.called)::text from {source}{called} as called(called){page}"
        statement = write.text(one, source=source, called=called, page=page)
        if function.is_set and (query.tests or query.order):
            raise refusals.not_in_the_fake("filters on a function of a real database")
        rows = [each for (each,) in self._run(statement, write)]
        if function.returns == "void":
            return Called(rows=None)
        if not function.is_set:
            return Called(rows=[rows[0] or "null"])
        return Called(rows=rows, is_set=True, total=len(rows))

    def _changed(
        self, write: Composer, statement: Any, query: Query, columns: list[str], *, returning: bool
    ) -> Changed:
        if not returning:
            rows = self._run(statement, write)
            return Changed(rows=(), count=len(rows), inserted=sum(new for _, new in rows))
        shown = write.text(
            "with changed({names}, pgrst_new) as ({statement}) "
            "select (select row_to_json(shown) from (select {shown}) as shown)::text, pgrst_new "
            "from changed as {table}",
            names=write.names(columns),
            statement=statement,
            shown=write.shown(query.columns),
            table=write.table,
        )
        rows = self._run(shown, write)
        return Changed(rows=[text for text, _ in rows], count=len(rows), inserted=sum(new for _, new in rows))

    def _conflict(self, target: Target, asked: Insertion, write: Composer) -> Any:
        if asked.resolution is None:
            return write.text("")
        keys = list(asked.on_conflict) or [each for (each,) in self._connection.execute(_PRIMARY_KEY, target)]
        if not keys:
            return write.text("")
        if asked.resolution == "ignore":
            return write.text(" on conflict ({keys}) do nothing", keys=write.names(keys))
        pairs = [write.text("{n} = excluded.{n}", n=write.name(name)) for name in asked.columns]
        return write.text(
            " on conflict ({keys}) do update set {pairs}", keys=write.names(keys), pairs=write.joined(pairs)
        )

    def _count(self, target: Target, columns: list[str], query: Query) -> int:
        write = Composer(target[1], columns)
        statement = write.text(
            "select count(*) from {source}{where}", source=write.name(*target), where=write.where(query.tests)
        )
        ((count,),) = self._run(statement, write)
        return int(count)

    def _columns(self, target: Target) -> dict[str, str]:
        """Give the names of the columns and their types, in the database's words."""
        found = dict(self._connection.execute(_COLUMNS, target).fetchall())
        if not found:
            raise refusals.no_table(*target)
        return found

    def _run(self, statement: Any, write: Composer) -> list[Any]:
        rows: list[Any] = self._connection.execute(statement, write.values).fetchall()
        return rows


def _check_columns(target: Target, columns: Mapping[str, str], asked: Sequence[str]) -> None:
    strange = next((each for each in asked if each not in columns), None)
    if strange is not None:
        raise refusals.no_column_to_write(target[1], strange)


def _functions(connection: Any, schema: str, name: str) -> list[_Function]:
    found = connection.execute(_FUNCTIONS, (schema, name)).fetchall()
    return [
        _Function(is_set, returns, kind == "c" or returns == "record", names, types, required)
        for is_set, returns, kind, names, types, required in found
    ]


def _is_known(name: str, functions: Sequence[_Function]) -> bool:
    return any(name in each.names for each in functions)
