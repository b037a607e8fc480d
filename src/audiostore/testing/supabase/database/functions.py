"""Functions of a fake's database: Python behind ``rpc``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.database import refusals
from audiostore.testing.supabase.database.asking import Query
from audiostore.testing.supabase.database.matching import Reader
from audiostore.testing.supabase.database.types import SqlType, sql_type, type_of
from audiostore.testing.supabase.database.verbs import Call, Called

ROLES: Final = frozenset({"anon", "authenticated", "service_role"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """``run`` takes the arguments by name, and the actor as ``actor`` if it has such a parameter."""

    run: Callable[..., Any]
    required: frozenset[str]
    known: frozenset[str]
    wants_actor: bool
    roles: frozenset[str]

    @classmethod
    def of(cls, run: Callable[..., Any], *, roles: Iterable[str]) -> Function:
        strange = set(roles) - ROLES
        if strange:
            raise ValueError(f"no such role: {', '.join(sorted(strange))}")
        parameters = inspect.signature(run).parameters
        named = {name: each for name, each in parameters.items() if name != "actor"}
        return cls(
            run=run,
            required=frozenset(name for name, each in named.items() if each.default is each.empty),
            known=frozenset(named),
            wants_actor="actor" in parameters,
            roles=frozenset(roles),
        )


@dataclass(slots=True)
class Functions:
    named: dict[str, Function] = field(default_factory=dict[str, Function])

    def parameters(self, name: str) -> frozenset[str]:
        return self.named[name].known if name in self.named else frozenset()

    def call(self, actor: Actor, schema: str, call: Call, query: Query) -> Called:
        function = self.named.get(call.name)
        given = call.arguments
        if not call.posted:
            given = {name: value for name, value in given.items() if name in self.parameters(call.name)}
        if function is None or schema != "public" or not function.required <= set(given) <= function.known:
            raise refusals.no_function(schema, call.name, sorted(given), posted=call.posted)
        if actor.role not in function.roles:
            raise refusals.not_permitted("function", call.name)
        extra = {"actor": actor} if function.wants_actor else {}
        return _called(function.run(**given, **extra), query)


def _called(result: Any, query: Query) -> Called:
    if not isinstance(result, RowSet):
        jsonb = sql_type("jsonb")
        return Called(rows=[jsonb.write(jsonb.from_json(result))])
    types: dict[str, SqlType] = {}
    for row in result.rows:
        types.update({name: type_of(value) for name, value in row.items() if value is not None or name not in types})
    reader = Reader("pgrst_call", types)
    meets = reader.meets(query.tests)
    found = [row for row in result.rows if meets(row)]
    last = None if query.limit is None else query.offset + query.limit
    page = reader.order(query.order, found)[query.offset : last]
    return Called(rows=[sql_type("json").write(row) for row in page], is_set=True, total=len(found))


@dataclass(frozen=True, slots=True)
class RowSet:
    """What a function gives back that ``returns setof``: rows, which the caller may filter, sort and page."""

    rows: list[Mapping[str, Any]]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> RowSet:
        return cls(cast("list[Mapping[str, Any]]", [dict(each) for each in rows]))
