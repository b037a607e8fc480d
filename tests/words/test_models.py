"""The values that everything else speaks in."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiostore import AudioFile, Key, Limits, SignedUrl, Upload, Usage
from audiostore.models import UNSET, Override, Place, Staged, allows, parse_text
from audiostore.reports import AuditReport, Drift

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FILE = AudioFile(
    id="7",
    owner="alice",
    project="p1",
    chapter="3",
    section=None,
    filename="Größe.wav",
    key=Key("alice/take.wav"),
    backend="local",
    size=9,
    sha256="aa",
    content_type="audio/wav",
    duration=1.5,
    created_at=NOON,
    metadata={"voice": "b"},
)

# Places


def test_ids_of_a_place_are_text_or_numbers_and_kept_as_text() -> None:
    assert Place.of("p1", 3, 0) == Place("p1", "3", "0")
    assert Place.of(chapter=10**40) == Place(None, str(10**40))
    assert Place.of() == Place()


@pytest.mark.parametrize("wrong", ["", "\0", "a\0b", "\ud800", "a\udfff"])
def test_an_id_that_a_catalog_can_not_keep_is_refused(wrong: str) -> None:
    for name in ("project", "chapter", "section"):
        with pytest.raises(ValueError, match=name):
            Place.of(**{name: wrong})


@pytest.mark.parametrize("wrong", [True, 1.0, b"p", ["p"], Path("p")], ids=repr)
def test_an_id_of_another_kind_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="chapter"):
        Place.of("p", wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_text_is_given_back_as_it_is() -> None:
    for text in ("a", " ", "\n", "👩\u200d🚀", "e\u0301", "x" * 100_000):
        assert parse_text("owner", text) == text
    with pytest.raises(TypeError, match="owner is text"):
        parse_text("owner", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Files and uploads


def test_a_file_is_a_value() -> None:
    assert replace(FILE) == FILE
    assert len({hash(FILE), hash(replace(FILE, metadata={}))}) == 1
    assert pickle.loads(pickle.dumps(FILE)) == FILE
    assert type(pickle.loads(pickle.dumps(FILE)).key) is Key
    assert FILE.place == Place("p1", "3")
    with pytest.raises(FrozenInstanceError):
        FILE.size = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_file_as_json_has_every_fact() -> None:
    facts = json.loads(json.dumps(FILE.as_dict()))
    assert facts["created_at"] == "2026-11-22T12:00:00+00:00"
    assert facts["key"] == "alice/take.wav"
    assert facts["metadata"] == {"voice": "b"}
    assert facts.keys() == set(AudioFile.__dataclass_fields__)


@pytest.mark.parametrize(
    ("filename", "suffix"),
    [
        ("take.WAV", ".wav"),
        ("a.tar.gz", ".gz"),
        ("take", ""),
        (".wav", ""),
        ("日本.Mp3", ".mp3"),
        ("a/b.c/d", ""),
        ("", ""),
    ],
)
def test_the_suffix_of_an_upload_is_that_of_its_filename(filename: str, suffix: str) -> None:
    upload = Upload(id="1", owner="a", place=Place(), filename=filename, content_type="audio/wav", size=1)
    assert upload.suffix == suffix


def test_a_processors_output_is_ours_to_move_away() -> None:
    staged = Staged(
        path=Path("in.wav"), size=9, sha256="aa", content_type="audio/wav", filename="in.wav", disposable=False
    )
    out = staged.become(Path("out.mp3"), duration=2.0)
    assert (out.path, out.filename, out.disposable, out.duration) == (Path("out.mp3"), "in.wav", True, 2.0)
    assert staged.become(Path("out.mp3"), filename="out.mp3").filename == "out.mp3"


def test_a_signed_url_is_its_text_and_keeps_its_time() -> None:
    url = SignedUrl("https://x/y?z=1", NOON)
    assert url == "https://x/y?z=1"
    assert json.dumps(url) == '"https://x/y?z=1"'
    again = pickle.loads(pickle.dumps(url))
    assert (again, again.expires_at, type(again)) == (url, NOON, SignedUrl)


# Limits

numbers = st.none() | st.integers(0, 9)
rules = st.none() | st.frozensets(
    st.sampled_from(["audio/mpeg", "audio/wav", "audio/*", "image/png", "image/*", "*/*"])
)
limits = st.builds(Limits, total=numbers, per_file=numbers, files=numbers, types=rules)
KINDS = ("audio/mpeg", "audio/wav", "audio/flac", "image/png", "image/gif", "text/plain")


def _lets_in(limits: Limits) -> set[str]:
    return {kind for kind in KINDS if limits.types is None or allows(limits.types, kind)}


@settings(deadline=None)
@given(limits, limits, limits)
def test_two_limits_together_are_the_tighter_one_in_any_order(one: Limits, two: Limits, three: Limits) -> None:
    assert one & two == two & one
    assert one & one == one
    assert (one & two) & three == one & (two & three)
    assert one & Limits() == one
    assert _lets_in(one & two) == _lets_in(one) & _lets_in(two)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"audio/*"}, {"audio/mpeg", "image/png"}, {"audio/mpeg"}),
        ({"*/*"}, {"audio/*"}, {"audio/*"}),
        ({"audio/wav"}, {"audio/mpeg"}, set[str]()),
        ({"audio/wav", "image/*"}, {"audio/*", "image/png"}, {"audio/wav", "image/png"}),
    ],
)
def test_two_rules_together_let_in_what_both_let_in(one: set[str], other: set[str], both: set[str]) -> None:
    assert (Limits(types=frozenset(one)) & Limits(types=frozenset(other))).types == frozenset(both)


def test_nothing_is_tighter_than_something_and_something_than_no_limit() -> None:
    assert Limits(total=0) & Limits(total=5) == Limits(total=0)
    assert Limits(total=None) & Limits(total=5) == Limits(total=5)


@pytest.mark.parametrize(
    ("types", "kind", "allowed"),
    [
        ({"audio/*"}, "audio/wav", True),
        ({"audio/*"}, "audiobook/wav", False),
        ({"audio/wav"}, "audio/mpeg", False),
        ({"*/*"}, "text/plain", True),
        (set[str](), "audio/wav", False),
    ],
)
def test_a_rule_lets_in_a_type_or_all_of_a_kind(types: set[str], kind: str, allowed: bool) -> None:
    assert allows(frozenset(types), kind) is allowed


def test_an_override_stands_above_the_policy_where_it_says_something() -> None:
    policy = Limits(total=5, per_file=2, files=3, types=frozenset({"audio/*"}))
    assert Override().over(policy) == policy
    assert Override(total=9).over(policy) == replace(policy, total=9)
    assert Override(total=None, files=0).over(policy) == replace(policy, total=None, files=0)


def test_unset_is_not_none_and_is_false() -> None:
    assert UNSET is not None
    assert not UNSET
    assert repr(UNSET) == "UNSET"


# Usage


@pytest.mark.parametrize(
    ("quota", "used", "reserved", "available", "percent"),
    [
        (None, 5, 5, None, None),
        (0, 0, 0, 0, 100.0),
        (0, 5, 0, 0, 100.0),
        (100, 20, 5, 75, 25.0),
        (100, 90, 30, 0, 120.0),
        (3, 1, 0, 2, 33.3),
    ],
)
def test_usage_counts_what_is_reserved_and_never_divides_by_zero(
    quota: int | None, used: int, reserved: int, available: int | None, percent: float | None
) -> None:
    usage = Usage(used=used, reserved=reserved, files=1, limits=Limits(total=quota))
    assert (usage.quota, usage.available, usage.percent) == (quota, available, percent)
    assert json.loads(json.dumps(usage.as_dict()))["percent"] == percent


def test_an_audit_is_ok_when_it_found_nothing() -> None:
    assert AuditReport(drift=(), files=3, objects=3).ok
    assert not AuditReport(drift=(Drift(kind="object_missing"),), files=3, objects=2).ok
