"""Tables in memory: columns declared as in SQL, constraints, and row-level security by predicates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from audiostore.testing.supabase.actors import OPERATIONS, Actor, Operation
from audiostore.testing.supabase.database.types import SqlType, sql_type, type_of

Row = dict[str, Any]
RowPolicy = Callable[[Actor, Mapping[str, Any]], bool]
"""May this actor do it to this row? Not asked for ``service_role``."""

Rls = bool | str | RowPolicy | Mapping[Operation, RowPolicy]
Check = Callable[[Mapping[str, Any]], bool | None]

_COLUMN: Final = re.compile(
    r"(?P<type>[a-z][a-z0-9 ]*?(?:\([\d, ]+\))?(?:\[\])?)"
    r"(?P<rest>(?:\s+(?:not null|null|unique|primary key|default\s+(?:'(?:[^']|'')*'(?:::\w+)?|[^\s']+)))*)",
    re.IGNORECASE,
)
_DEFAULT: Final = re.compile(r"default\s+('(?:[^']|'')*'|\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    type: SqlType
    required: bool = False
    default: str | None = None
    """As SQL writes it: ``now()``, ``'queued'``."""
    counted: bool = False

    @classmethod
    def parse(cls, text: str) -> Column:
        """Parse what stands behind a column's name in ``create table``; raises ``ValueError``."""
        match = _COLUMN.fullmatch(" ".join(text.split()))
        if match is None:
            raise ValueError(f"not a column as SQL declares it: {text!r}")
        name, rest = match["type"], match["rest"].lower()
        default = _DEFAULT.search(match["rest"])
        return cls(
            type=sql_type(name),
            required="not null" in rest or "primary key" in rest,
            default=default[1] if default else None,
            counted=name.lower() in {"serial", "bigserial"},
        )


@dataclass(frozen=True, slots=True)
class Constraint:
    name: str
    columns: tuple[str, ...]


class Relation(Protocol):
    """What can be selected from. Raises what it likes to say no at all to an actor."""

    @property
    def schema(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def types(self) -> Mapping[str, SqlType]: ...

    def seen(self, actor: Actor) -> Sequence[Mapping[str, Any]]:
        """Give the rows that *actor* may select, in no promised order."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """Rows that are kept elsewhere."""

    schema: str
    name: str
    types: Mapping[str, SqlType]
    rows: Callable[[Actor], Sequence[Mapping[str, Any]]]

    def seen(self, actor: Actor) -> Sequence[Mapping[str, Any]]:
        return self.rows(actor)


@dataclass(slots=True)
class Table:
    name: str
    columns: dict[str, Column]
    primary_key: Constraint | None
    unique: tuple[Constraint, ...]
    checks: Mapping[str, Check]
    policies: Mapping[Operation, RowPolicy] | None
    """None: row-level security is off."""
    open: bool
    """Nobody declared its columns: it takes any."""
    schema: str = "public"
    rows: list[Row] = field(default_factory=list[Row])
    count: int = 0
    _places: dict[str, dict[tuple[str, ...], int]] = field(default_factory=dict[str, dict[tuple[str, ...], int]])
    """Where the rows are, by constraint and key; what is missing is made when it is asked for."""

    @property
    def types(self) -> Mapping[str, SqlType]:
        return {name: column.type for name, column in self.columns.items()}

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        return self.unique if self.primary_key is None else (self.primary_key, *self.unique)

    def may(self, actor: Actor, operation: Operation, row: Mapping[str, Any]) -> bool:
        if actor.role == "service_role" or self.policies is None:
            return True
        policy = self.policies.get(operation)
        return policy is not None and policy(actor, row)

    def hides(self, actor: Actor) -> bool:
        """Tell whether Postgres keeps values out of refusals: it does where rows are guarded."""
        return self.policies is not None and actor.role != "service_role"

    def seen(self, actor: Actor) -> Sequence[Mapping[str, Any]]:
        return [row for row in self.rows if self.may(actor, "select", row)]

    def at(self, constraint: Constraint, row: Mapping[str, Any]) -> int | None:
        """Give the place of the row with the same key, if there is one; NULL is never the same."""
        key = _key(constraint, row)
        if key is None:
            return None
        if constraint.name not in self._places:
            keyed = ((_key(constraint, each), at) for at, each in enumerate(self.rows))
            self._places[constraint.name] = {each: at for each, at in keyed if each is not None}
        return self._places[constraint.name].get(key)

    def append(self, row: Row) -> None:
        for constraint in self.constraints:
            key = _key(constraint, row)
            if key is not None and constraint.name in self._places:
                self._places[constraint.name][key] = len(self.rows)
        self.rows.append(row)

    def put(self, at: int, row: Row) -> None:
        if any(_key(each, row) != _key(each, self.rows[at]) for each in self.constraints):
            self._places.clear()
        self.rows[at] = row

    def become(self, rows: Sequence[Row]) -> None:
        self.rows[:] = rows
        self._places.clear()

    def learn(self, given: Iterable[Mapping[str, Any]]) -> None:
        """Add the columns of rows to a table that takes any."""
        for row in given:
            for name, value in row.items():
                if value is not None and name not in self.columns:
                    self.columns[name] = Column(type=type_of(value))

    def default(self, name: str, now: datetime, new_id: Callable[[], str], actor: Actor) -> Any:
        column = self.columns[name]
        if column.counted:
            self.count += 1
            return self.count
        return _value_of(column, now, new_id, actor)


def _key(constraint: Constraint, row: Mapping[str, Any]) -> tuple[str, ...] | None:
    values = [row.get(each) for each in constraint.columns]
    return None if None in values else tuple(map(str, values))


def _value_of(column: Column, now: datetime, new_id: Callable[[], str], actor: Actor) -> Any:
    written = column.default
    if written is None or written.lower() == "null":
        return None
    known: dict[str, Callable[[], Any]] = {
        "now()": lambda: now,
        "gen_random_uuid()": new_id,
        "auth.uid()": lambda: actor.sub or None,
    }
    if written.lower() in known:
        value = known[written.lower()]()
        return value if value is None or column.type.name.startswith("timestamp") else column.type.read(str(value))
    return column.type.read(written[1:-1].replace("''", "'") if written.startswith("'") else written)


def declared(
    name: str,
    columns: Mapping[str, str] | None,
    *,
    primary_key: str | Sequence[str] | None,
    unique: Iterable[Sequence[str] | str],
    checks: Mapping[str, Check] | None,
    rls: Rls,
) -> Table:
    """Make an empty table as ``FakeSupabase.table`` was told to; raises ``ValueError``."""
    texts = {"id": "uuid primary key default gen_random_uuid()"} if columns is None else dict(columns)
    keyed = [each for each, text in texts.items() if "primary key" in text.lower()]
    keys = keyed if primary_key is None else _names(primary_key)
    alone = [(each,) for each, text in texts.items() if re.search(r"\bunique\b", text, re.IGNORECASE)]
    wanted = [*alone, *(tuple(_names(each)) for each in unique)]
    strange = {each for group in (keys, *wanted) for each in group} - set(texts)
    if strange:
        raise ValueError(f"no such column: {', '.join(sorted(strange))}")
    return Table(
        name=name,
        columns={each: Column.parse(text) for each, text in texts.items()},
        primary_key=Constraint(f"{name}_pkey", tuple(keys)) if keys else None,
        unique=tuple(Constraint(f"{name}_{'_'.join(each)}_key", each) for each in wanted),
        checks=dict(checks or {}),
        policies=_policies(rls),
        open=columns is None,
    )


def _names(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _policies(rls: Rls) -> Mapping[Operation, RowPolicy] | None:
    if isinstance(rls, bool):
        return {} if rls else None
    if isinstance(rls, str):
        return dict.fromkeys(OPERATIONS, own_rows(rls))
    if callable(rls):
        return dict.fromkeys(OPERATIONS, rls)
    return dict(rls)


def own_rows(column: str) -> RowPolicy:
    """Allow a signed-in user the rows with their id in *column*: ``user_id = auth.uid()``, to ``authenticated``."""

    def may(actor: Actor, row: Mapping[str, Any]) -> bool:
        return actor.role == "authenticated" and bool(actor.sub) and str(row.get(column)) == actor.sub

    return may


def written(row: Mapping[str, Any], types: Mapping[str, SqlType]) -> dict[str, Any]:
    """Give a row's values as a client reads them from JSON."""
    return {name: as_json(row.get(name), kind) for name, kind in types.items()}


def as_json(value: Any, kind: SqlType) -> Any:
    return None if value is None else json.loads(kind.write(value))
