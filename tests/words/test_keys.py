"""A key is parsed once, and then every backend can hold it."""

from __future__ import annotations

import copy
import os.path
import pickle
import re
from pathlib import PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiostore import Key
from audiostore.errors import InvalidKey
from audiostore.keys import MAX_KEY, MAX_SEGMENT

SUPABASE = re.compile(r"^[A-Za-z0-9_/!.*'() &$=@;:+,?-]*$")
WINDOWS = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}
PORTABLE = "abcXYZ019_/!.'() &$=@;+,-"


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "alice/p1/chapter_1/section_2/take.wav",
        "a b/c.d",
        "-/-",
        "!bob/=c3=a9.mp3",
        "a/b.c.d",
        "console/com10",
        "a..b/c",
    ],
)
def test_a_key_is_its_text(key: str) -> None:
    assert Key(key) == key
    assert isinstance(Key(key), str)
    assert Key(Key(key)) == key


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "empty"),
        ("/etc/passwd", "an empty segment"),
        ("a//b", "an empty segment"),
        ("a/", "an empty segment"),
        ("..", "a dot"),
        ("a/../b", "a dot"),
        ("./a", "a dot"),
        (".hidden", "a dot"),
        ("a/.audiostore/b", "a dot"),
        ("a./b", "a dot"),
        (" a", "a space"),
        ("a /b", "a space"),
        ("a\0b", "a character"),
        ("a\n", "a character"),
        ("é", "a character"),
        ("a\\b", "a character"),
        ("c:/x", "a character"),
        ("a?b", "a character"),
        ("a*b", "a character"),
        ("%2e%2e/a", "a character"),
        ("~root#", "a character"),
        ("\ud800", "a character"),
        ("con", "Windows"),
        ("a/NUL.txt/b", "Windows"),
        ("Com1", "Windows"),
        ("lpt9.tar.gz", "Windows"),
        ("conin$", "Windows"),
        ("x" * 256, "longer than 255"),
        ("/".join(["x" * 100] * 11), "longer than 1024"),
    ],
)
def test_what_not_every_backend_can_hold_is_refused(key: str, reason: str) -> None:
    with pytest.raises(InvalidKey, match=reason) as caught:
        Key(key)
    assert caught.value.key == key


def test_the_longest_key_is_a_key() -> None:
    longest = "/".join(["x" * 204] * 5)
    assert len(Key(longest)) == MAX_KEY == 1024
    with pytest.raises(InvalidKey, match="longer than 1024"):
        Key(longest + "x")


def test_the_longest_segment_is_a_key() -> None:
    assert Key("x" * MAX_SEGMENT)
    with pytest.raises(InvalidKey, match="longer than 255"):
        Key("x" * MAX_SEGMENT + "x")


def test_a_key_has_a_name_and_folders() -> None:
    key = Key("alice/p1/take.wav")
    assert (key.name, key.folders) == ("take.wav", ("alice", "p1"))
    assert (Key("take.wav").name, Key("take.wav").folders) == ("take.wav", ())


def test_a_key_survives_pickling_and_copying_as_a_key() -> None:
    key = Key("alice/take.wav")
    for again in (pickle.loads(pickle.dumps(key)), copy.copy(key), copy.deepcopy(key)):
        assert type(again) is Key
        assert again == key


def test_what_is_made_of_a_key_is_no_key_until_it_is_parsed() -> None:
    assert type(Key("a") + "/..") is str


@pytest.mark.parametrize("wrong", [None, 1, b"a", ["a"]])
def test_a_key_is_made_of_text(wrong: object) -> None:
    with pytest.raises(TypeError):
        Key(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(PORTABLE, max_size=60) | st.text("./ aCON", max_size=12))
def test_any_text_is_a_portable_key_or_refused(text: str) -> None:
    try:
        key = Key(text)
    except InvalidKey as error:
        refused = error
        assert refused.key == text
        return
    assert SUPABASE.fullmatch(key)
    assert os.path.normpath(f"/root/{key}") == f"/root/{key}"
    assert PureWindowsPath(key).parts == tuple(key.split("/"))
    assert not any(part.partition(".")[0].rstrip().upper() in WINDOWS for part in key.split("/"))
    assert not any(part.startswith(".") or part.endswith((".", " ")) for part in key.split("/"))
