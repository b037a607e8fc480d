"""The fake answers as the real server was recorded to: status, code, message, shape and headers."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from audiostore.testing.supabase import FakeSupabase, buckets, refusals, wire
from tests.fake.normalising import EXCEPTIONS
from tests.fake.replay import CHAPTERS, WIRE, Pair, replay

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return replay(FakeSupabase(), list(CHAPTERS), tmp_path_factory.mktemp("lab"))


def test_every_exchange_agrees_but_those_that_are_named(pairs: list[Pair]) -> None:
    different = {pair.name: pair.differences for pair in pairs if pair.differences}
    assert {name: what for name, what in different.items() if name not in EXCEPTIONS} == {}
    assert len(pairs) == 582


def test_every_recording_at_hand_is_replayed(pairs: list[Pair]) -> None:
    assert {file.stem for file in WIRE.glob("*.json")} == {pair.chapter for pair in pairs} == set(CHAPTERS.values())


def test_every_exception_names_one_exchange(pairs: list[Pair]) -> None:
    names = Counter(pair.name for pair in pairs)
    assert {name: names[name] for name in EXCEPTIONS} == dict.fromkeys(EXCEPTIONS, 1)


# --- what is forgiven can't hide a fault ------------------------------------------------------------------------------


def test_no_changed_status_code_or_message_is_forgiven(pairs: list[Pair]) -> None:
    changed = 0
    for pair in pairs:
        body = pair.replayed.get("response", {}).get("body")
        named = ("statusCode", "error", "code", "message", "details", "hint")
        fields = [name for name in named if isinstance(body, dict) and name in body]
        for name in fields:
            broken = copy.deepcopy(pair.replayed)
            broken["response"]["body"][name] = f"{broken['response']['body'][name]}!"
            assert Pair(pair.chapter, pair.recorded, broken).differences, (pair.name, name)
            changed += 1
        if "status" in pair.replayed.get("response", {}):
            broken = copy.deepcopy(pair.replayed)
            broken["response"]["status"] += 1
            assert Pair(pair.chapter, pair.recorded, broken).differences, pair.name
            changed += 1
    assert changed > 1000


def test_no_missing_field_or_header_is_forgiven(pairs: list[Pair]) -> None:
    for pair in pairs:
        response = pair.replayed.get("response", {})
        for part in ("headers", "body"):
            for name in response.get(part) or () if isinstance(response.get(part), dict) else ():
                broken: dict[str, Any] = copy.deepcopy(pair.replayed)
                del broken["response"][part][name]
                assert Pair(pair.chapter, pair.recorded, broken).differences, (pair.name, part, name)


def other_refusal(http: int = 400, **changes: str) -> Any:
    def refuse() -> refusals.Refusal:
        fields = {"status": "404", "error": "Bucket not found", "code": "NoSuchBucket", "message": "Bucket not found"}
        return refusals.Refusal(**{**fields, **changes}, http=http)

    return refuse


MUTANTS: dict[str, tuple[Any, str, Any]] = {
    "another status on the wire": (refusals, "no_such_bucket", other_refusal(http=404)),
    "another status in the body": (refusals, "no_such_bucket", other_refusal(status="400")),
    "another error": (refusals, "no_such_bucket", other_refusal(error="not_found")),
    "another code": (refusals, "no_such_bucket", other_refusal(code="NoSuchKey")),
    "another message": (refusals, "no_such_bucket", other_refusal(message="Bucket not there")),
    "another type of content": (wire, "JSON", "application/json"),
    "no row-level security for buckets": (refusals, "row_refused", refusals.access_denied),
    "limits that are not checked": (buckets, "GLOBAL_LIMIT", 10**12),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_fake_that_answers_wrongly_is_found_out(mutant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MUTANTS[mutant])
    assert [pair.name for pair in replay(FakeSupabase(), ["t01"], tmp_path) if pair.differences]


def test_the_same_chapter_of_a_right_one_is_not(tmp_path: Path) -> None:
    assert [pair.name for pair in replay(FakeSupabase(), ["t01"], tmp_path) if pair.differences] == []
