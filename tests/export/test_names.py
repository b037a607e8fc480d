"""Names of files: what people write, in any language, on any disk."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audiostore.export.naming import Names, numbered, portable
from audiostore.keys import _RESERVED

TITLES = st.text(max_size=300) | st.sampled_from(
    ["CON", "nul.txt", "a/b", "..", " . ", "x" * 400, "é" * 300, "~root", "-rf"]
)


@pytest.mark.parametrize("name", ["Глава 1 — начало", "第一章 雨", "الفصل الأول", "Κεφάλαιο", "Größe & Maß", "🌧 rain"])
def test_letters_of_every_language_stay(name: str) -> None:
    assert portable(name) == name


@given(TITLES)
def test_every_name_can_be_on_every_disk(name: str) -> None:
    made = portable(name)
    assert made
    assert made == made.strip()
    assert not set(made) & set('<>:"/\\|?*\n\r\t\0')
    assert made[0] not in ".-~"
    assert made[-1] != "."
    assert not _RESERVED.fullmatch(made)
    assert len(made.encode()) <= 152
    assert unicodedata.is_normalized("NFC", made)


@given(st.lists(TITLES, max_size=20))
@example(["Ebbe", "EBBE", "ebbe", "Straße", "STRASSE", "caf\u00e9", "cafe\u0301", "\u2460", "1"])
def test_no_two_names_meet_however_a_disk_compares(titles: list[str]) -> None:
    names = Names()
    made = [names.new(each) for each in titles]
    assert len({unicodedata.normalize("NFKC", each).casefold() for each in made}) == len(titles)


def test_numbers_sort_as_they_count() -> None:
    made = [numbered(number, 1200, "x") for number in range(1, 1201)]
    assert made == sorted(made)
    assert numbered(1, 3, "Rain") == "01 - Rain"
