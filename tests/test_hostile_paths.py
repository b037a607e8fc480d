"""100,000 uploads with ids and filenames that no one would choose, but for a reason."""

from __future__ import annotations

import os.path
import random
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiostore import ChapterSectionPath, Key, TemplatePath, Upload
from audiostore.errors import InvalidKey
from audiostore.models import Place
from audiostore.paths import Location

UUID = "0199aa11-2233-7445-8667-8899aabbccdd"
SUPABASE = re.compile(r"^[A-Za-z0-9_/!.*'() &$=@;:+,?-]*$")
TEMPLATES = (
    "{owner}/{project}/{chapter}/{section}/{name}",
    "books/{owner}/{project}-{chapter}_{section}/{stem}/{id}{suffix}",
    "{owner}-{project}-{chapter}-{section}-{name}",
    "c{owner}/co{project}/Part {chapter}.d/s{section}s-{stem}-{id}",
)


_WINDOWS = ("con", "CON", "nul.txt", "com1", "aux.", "a.", "a ", "..", ".", "...", "\\", ":", "*", "?", '"', "<", "|")
_CODES = (
    "\x01",
    "\x1b",
    "\x7f",
    "\x85",
    "\t",
    "\n",
    " ",
    "\u00e9",
    "e\u0301",
    "É",
    "ß",
    "\u202e",
    "\u200d",
    "👩",
    "日本",
)
_MARKS = ("/", "%2e%2e", "%", "-", "_", "=", "!", "==", "=2e", "!a", "~", "--", "__")
_PLAIN = ("a", "A", "b", "B", "1", "01", "0", "None", "none", "chapter_1", "section_2", "x" * 60, "日" * 20)
_UNKEPT = ("", "\0", "a\0", "\ud800", "a\udfff")
_POOL = _WINDOWS + _CODES + _MARKS + _PLAIN


def _uploads(count: int, seed: int) -> Iterator[Upload]:
    rng = random.Random(seed)

    def text() -> str:
        odds = rng.random()
        if odds < 0.002:
            return rng.choice(_POOL) * 400 + str(rng.randrange(9))
        if odds < 0.01:
            return rng.choice(_UNKEPT)
        return "".join(rng.choices(_POOL, k=rng.choice((1, 1, 1, 2, 2, 3, 5))))

    def place_id() -> str | None:
        return None if rng.random() < 0.15 else text()

    for number in range(count):
        place = Place(place_id(), place_id(), place_id())
        unique = f"{number:08x}-2233-7445-8667-{rng.getrandbits(48):012x}"
        yield Upload(id=unique, owner=text(), place=place, filename=text() + ".wav", content_type="audio/wav", size=1)


@pytest.mark.parametrize(
    ("build", "count"),
    [(ChapterSectionPath(), 60_000), *((TemplatePath(each), 10_000) for each in TEMPLATES)],
    ids=repr,
)
def test_a_hundred_thousand_hostile_uploads_stay_inside_and_apart(build: TemplatePath, count: int) -> None:
    keys: set[str] = set()
    folders: dict[str, Location] = {}
    shortened = 0
    for upload in _uploads(count, seed=count):
        key = _key(build, upload)
        if key is None:
            continue
        # Lower case throughout, because there are disks on which two spellings are one.
        assert key.lower() not in keys
        keys.add(key.lower())
        here = Location(upload.owner, upload.place)
        assert folders.setdefault(_folder(build, key, upload), here) == here
        there = _place_of(build, key)
        shortened += there is None
        assert there in (here, None)
    assert len(keys) > 0.9 * count, "too many are refused for this to say much"
    assert 0 < shortened < 0.25 * count


def _key(build: TemplatePath, upload: Upload) -> Key | None:
    """Build, and look at what a single key can tell; None if an id can't be kept."""
    ids = (upload.owner, upload.place.project, upload.place.chapter, upload.place.section)
    kept = not any(each is not None and _unkept(each) for each in ids)
    try:
        key = build(upload)
    except InvalidKey:
        assert not kept, f"refused: {ids}"
        return None
    assert kept, f"taken: {ids}"
    assert type(key) is Key
    assert SUPABASE.fullmatch(key)
    assert os.path.normpath(f"/root/{key}") == f"/root/{key}"
    return key


def _unkept(id: str) -> bool:
    return not id or re.search("[\0\ud800-\udfff]", id) is not None


def _folder(build: TemplatePath, key: Key, upload: Upload) -> str:
    """What the key owes to owner and place alone."""
    if isinstance(build, ChapterSectionPath):
        return "/".join(key.folders).lower()
    return build(replace(upload, id=UUID, filename="take.wav")).lower()


def _place_of(build: TemplatePath, key: Key) -> Location | None:
    """Parse; None if an id was shortened."""
    try:
        return build.parse(key)
    except InvalidKey:
        assert "==" in key
        return None


ids = st.text(min_size=1, max_size=200) | st.sampled_from(_POOL) | st.text("aA-_.=!/%", min_size=1, max_size=6)
maybe = st.none() | ids


@settings(deadline=None)
@given(ids, st.builds(Place, maybe, maybe, maybe), st.text(), st.sampled_from(TEMPLATES))
def test_parse_is_the_inverse_of_building(owner: str, place: Place, filename: str, template: str) -> None:
    upload = Upload(id=UUID, owner=owner, place=place, filename=filename, content_type="audio/wav", size=1)
    for build in (ChapterSectionPath(), TemplatePath(template)):
        key = _key(build, upload)
        assert key is None or _place_of(build, key) in ((owner, place), None)


@settings(deadline=None)
@given(st.text("ab01.-_=!/", max_size=60))
def test_what_parse_takes_is_what_it_would_build(text: str) -> None:
    build = TemplatePath("{owner}/{project}-{chapter}/{id}")
    try:
        location = build.parse(f"{text}/{UUID}")
    except InvalidKey:
        return
    upload = Upload(id=UUID, owner=location.owner, place=location.place, filename="", content_type="audio/wav", size=1)
    assert build(upload) == f"{text}/{UUID}"
