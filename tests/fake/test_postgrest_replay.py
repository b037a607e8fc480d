"""The comparison with what PostgREST was recorded to answer finds a fake that answers anything else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from audiostore.testing.supabase import FakeSupabase, rest
from audiostore.testing.supabase.database import refusals, tables, types
from audiostore.testing.supabase.database.preferring import Preferences
from audiostore.testing.supabase.database.refusals import RestError, SqlError
from tests.fake.normalising import EXCEPTIONS, differences
from tests.fake.replay import WIRE, Pair, replay

pytestmark = pytest.mark.slow


def different(folder: Path) -> list[str]:
    pairs = replay(FakeSupabase(), ["t12"], folder)
    return [pair.name for pair in pairs if pair.differences and pair.name not in EXCEPTIONS]


def giving(kind: Any, *given: Any, **named: Any) -> Any:
    """Give what answers anything with a new one of *kind*."""

    def answer(*_: Any, **__: Any) -> Any:
        return kind(*given, **named)

    return answer


_ROW = 'new row violates row-level security policy for table "audio_jobs"'
_SINGLE = "Cannot coerce the result to a single JSON object"

MUTANTS: dict[str, tuple[Any, str, Any]] = {
    "another code": (refusals, "row_refused", giving(SqlError, _ROW, code="42502")),
    "another message": (refusals, "row_refused", giving(SqlError, f"{_ROW}!", code="42501")),
    "a hint where there is none": (refusals, "row_refused", giving(SqlError, _ROW, code="42501", hint="no")),
    "another status": (
        refusals,
        "not_single",
        giving(RestError, 404, "PGRST116", _SINGLE, details="The result contains 0 rows"),
    ),
    "no details": (refusals, "not_single", giving(RestError, 406, "PGRST116", _SINGLE)),
    "values told to users": (tables.Table, "hides", giving(bool)),
    "no row-level security": (tables.Table, "may", giving(bool, 1)),
    "a token that never ends": (rest, "_SKEW", 10**9),
    "preferences that are not told": (Preferences, "applied", giving(dict)),
    "a range of one more": (rest, "_range", giving(tuple, (200, "0-4/*"))),
    "another spelling of jsonb": (types, "_jsonb", types.sql_type("json").write),
    "an address as it came": (rest, "_canonical", str),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_database_that_answers_wrongly_is_found_out(
    mutant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, other = MUTANTS[mutant]
    if mutant == "another spelling of jsonb":
        kind = types.SqlType("jsonb", types.sql_type("jsonb").read, other)
        owner, name, other = types, "_TYPES", {**getattr(types, "_TYPES"), "jsonb": kind}  # noqa: B009
    monkeypatch.setattr(owner, name, other)
    assert different(tmp_path)


def test_a_right_one_is_not(tmp_path: Path) -> None:
    assert different(tmp_path) == []


def test_a_length_is_forgiven_the_digits_of_a_time_and_nothing_else() -> None:
    pair = next(each for each in _recorded() if each.name == "insert")
    assert pair.differences == []
    replayed = copy.deepcopy(pair.replayed)
    (row,) = replayed["response"]["body"]
    row["created_at"] = "2026-11-22T18:02:57+00:00"
    headers = replayed["response"]["headers"]
    headers["content-length"] = str(int(headers["content-length"]) - len(".86008"))
    assert differences(pair.recorded, replayed) == []
    headers["content-length"] = str(int(headers["content-length"]) + 1)
    assert differences(pair.recorded, replayed)


def _recorded() -> list[Pair]:

    exchanges = json.loads((WIRE / "12_postgrest.json").read_text())
    return [Pair("12_postgrest", each, copy.deepcopy(each)) for each in exchanges]
