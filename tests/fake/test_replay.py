"""The fake answers as the real server was recorded to: status, code, message, shape and headers."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audiostore.testing.supabase import FakeSupabase, buckets, refusals, tus, wire
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


def told_as(refuse: Callable[..., refusals.Refusal], **changes: Any) -> Callable[..., refusals.Refusal]:
    def refuse_so(*arguments: Any) -> refusals.Refusal:
        refused = refuse(*arguments)
        vars(refused).update(changes)
        return refused

    return refuse_so


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


@dataclass(frozen=True)
class Mutant:
    """A wrong answer: in which chapter it must be found, and what the difference must say."""

    chapter: str
    told: str
    patch: tuple[Any, str, Any]


LATER_MUTANTS = {
    "a duplicate under its true status": Mutant(
        "02_upload", "status: 400 became 409", (refusals, "duplicate", told_as(refusals.duplicate, http=409))
    ),
    "a key refused in other words": Mutant(
        "03_keys", "Bad key", (refusals, "invalid_key", told_as(refusals.invalid_key, message="Bad key"))
    ),
    "a range refused as nearly all is": Mutant(
        "04_download", "status: 416 became 400", (refusals, "invalid_range", told_as(refusals.invalid_range, http=400))
    ),
    "a bad cursor with another code": Mutant(
        "05_list", "BadCursor", (refusals, "invalid_cursor", told_as(refusals.invalid_cursor, code="BadCursor"))
    ),
    "a missing object under its true status": Mutant(
        "06_move_copy_remove",
        "status: 400 became 404",
        (refusals, "no_such_key", told_as(refusals.no_such_key, http=404)),
    ),
    "a link that ends as a token does": Mutant(
        "07_signed",
        'statusCode: "400" became "403"',
        (refusals, "invalid_token", told_as(refusals.invalid_token, status="403")),
    ),
    "uploads that no page may read": Mutant(
        "08_tus", "access-control-expose-headers", (tus, "_ALWAYS", {"tus-resumable": "1.0.0"})
    ),
}


def test_later_chapters_find_wrong_answers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # All at once: the chapters build on one another, so each alone would take a run of all before it.
    for mutant in LATER_MUTANTS.values():
        monkeypatch.setattr(*mutant.patch)
    pairs = replay(FakeSupabase(), list(CHAPTERS), tmp_path)
    for what, mutant in LATER_MUTANTS.items():
        found = [each for pair in pairs if pair.chapter == mutant.chapter for each in pair.differences]
        assert any(mutant.told in each for each in found), what


def test_a_server_that_loses_an_answer_is_found_out(tmp_path: Path) -> None:
    fake = FakeSupabase()
    fake.fail_next("POST /bucket", lose_response=True)
    try:
        pairs = replay(fake, ["t01"], tmp_path)
    except AssertionError:
        return  # the recording client could not go on
    assert [pair.name for pair in pairs if pair.differences]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_fake_that_answers_wrongly_is_found_out(mutant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MUTANTS[mutant])
    assert [pair.name for pair in replay(FakeSupabase(), ["t01"], tmp_path) if pair.differences]


def test_the_same_chapter_of_a_right_one_is_not(tmp_path: Path) -> None:
    assert [pair.name for pair in replay(FakeSupabase(), ["t01"], tmp_path) if pair.differences] == []
