"""Books: chapters where the parts are to be heard, covers, tags; by an ffprobe of somebody else's."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from audiostore.audio import Chapter, Joined, Part, cover_of, join, probe
from tests.audio_processing import crafted as made
from tests.audio_processing.asking import ffprobe
from tests.audio_processing.bursts import onsets, packets, tone_part

COVER = made.png_header(600, 400) + bytes(500)
TITLES = ["One", "Zwei: Größe", "三"]
TAGS = {"title": "A book; with = signs", "artist": "Ä. Author", "composer": "N. Narrator", "comment": "#1\\2"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Part]:
    """Three chapters that begin and end with sound, of odd lengths, a pause between."""
    folder = tmp_path_factory.mktemp("parts")
    lengths = (0.731, 1.237, 0.419)
    paths = [tone_part(folder / f"{number}.wav", 300 + 90 * number, long) for number, long in enumerate(lengths)]
    return [
        Part(path, title=title, gap_before=timedelta(seconds=0.5 if number else 0))
        for number, (path, title) in enumerate(zip(paths, TITLES, strict=True))
    ]


def chapters_told(path: Path) -> list[tuple[float, float, str]]:
    told: list[dict[str, Any]] = ffprobe(path, "-show_chapters")["chapters"]
    return [(float(each["start_time"]), float(each["end_time"]), each["tags"]["title"]) for each in told]


def check(joined: Joined) -> None:
    told = chapters_told(joined.path)
    assert [title for _, _, title in told] == TITLES
    heard_at = onsets(joined.path)
    assert len(heard_at) == 3
    for (start, _, _), mark, heard in zip(told, joined.marks, heard_at, strict=True):
        assert start == pytest.approx(mark.start, abs=0.002)
        assert start == pytest.approx(heard, abs=0.05), "where it is heard"
    assert [end for _, end, _ in told[:-1]] == [start for start, _, _ in told[1:]]
    assert told[-1][1] == pytest.approx(joined.duration, abs=0.05)


@pytest.mark.parametrize("to", ["m4b", "m4a", "mp3", "opus"])
def test_chapters_begin_where_the_parts_are_heard(to: str, parts: list[Part], tmp_path: Path) -> None:
    joined = join(parts, tmp_path / f"book.{to}", to=to, chapters="parts", tags=TAGS, cover=COVER)
    assert joined.how == "encoded"
    check(joined)
    tags = probe(joined.path).tags
    assert {name: tags[name] for name in TAGS} == TAGS
    assert cover_of(joined.path) == COVER


@pytest.mark.parametrize("to", ["m4b", "mp3", "opus"])
@pytest.mark.parametrize("gap", [0.0, 0.5])
def test_chapters_that_are_encoded_once_become_a_book_without_another_generation(
    to: str, gap: float, parts: list[Part], tmp_path: Path
) -> None:
    made_of = "m4a" if to == "m4b" else to
    files = [join([part.source], tmp_path / f"{at}.{made_of}", to=made_of).path for at, part in enumerate(parts)]
    pause = timedelta(seconds=gap)
    chapters = [
        Part(file, title=title, gap_after=timedelta(seconds=0.3) if gap else pause)
        for file, title in zip(files, TITLES, strict=True)
    ]
    book = join(chapters, tmp_path / f"book.{to}", to=to, reencode=False, chapters="parts", tags=TAGS, cover=COVER)
    assert book.how == "copied"
    if gap:
        check(book)
    else:
        assert packets(book.path) == [packet for file in files for packet in packets(file)]
        told = chapters_told(book.path)
        assert [start for start, _, _ in told] == pytest.approx([mark.start for mark in book.marks], abs=0.002)
    assert probe(book.path).tags["artist"] == TAGS["artist"]
    assert cover_of(book.path) == COVER


def test_an_m4b_says_so_and_begins_with_its_tables(parts: list[Part], tmp_path: Path) -> None:
    content = join(parts, tmp_path / "book.m4b", to="m4b", chapters="parts").path.read_bytes()
    assert content[4:12] == b"ftypM4B "
    assert 0 < content.index(b"moov") < content.index(b"mdat")
    assert b"chpl" in content
    assert join(parts, tmp_path / "b.m4a", to="m4a").path.read_bytes()[4:12] == b"ftypM4A "


def test_an_mp3_has_a_table_of_contents(parts: list[Part], tmp_path: Path) -> None:
    content = join(parts, tmp_path / "book.mp3", chapters="parts", cover=COVER).path.read_bytes()
    assert content[:4] == b"ID3\x03"
    assert [content.count(frame) for frame in (b"CTOC", b"CHAP", b"APIC")] == [1, 3, 1]


def test_a_part_without_a_title_belongs_to_the_chapter_before(parts: list[Part], tmp_path: Path) -> None:
    sections = [parts[0], Part(parts[1].source), Part(parts[2].source, title="Two")]
    joined = join(sections, tmp_path / "book.mp3", chapters="parts")
    told = chapters_told(joined.path)
    assert [title for _, _, title in told] == ["One", "Two"]
    assert told[1][0] == pytest.approx(joined.marks[2].start, abs=0.002)
    nameless = join([part.source for part in parts], tmp_path / "book.mp3", chapters="parts")
    assert [title for _, _, title in chapters_told(nameless.path)] == ["Chapter 1", "Chapter 2", "Chapter 3"]


def test_chapters_of_ones_own_are_kept_as_they_are(parts: list[Part], tmp_path: Path) -> None:
    own = [Chapter(start=0.0, end=1.25, title="a"), Chapter(start=1.25, end=2.0, title="b")]
    for to in ("m4b", "mp3"):
        told = chapters_told(join(parts, tmp_path / f"book.{to}", to=to, chapters=own).path)
        assert [(start, title) for start, _, title in told] == [(0.0, "a"), (1.25, "b")]


def test_what_can_not_hold_chapters_or_a_cover_does_without(parts: list[Part], tmp_path: Path) -> None:
    for to in ("wav", "flac"):
        joined = join(parts, tmp_path / f"book.{to}", to=to, chapters="parts", cover=COVER)
        assert chapters_told(joined.path) == []
    assert cover_of(tmp_path / "book.flac") == COVER


def test_an_mp3_has_room_for_so_many_chapters_and_no_more(parts: list[Part], tmp_path: Path) -> None:
    many = [Chapter(start=at / 200, end=(at + 1) / 200, title=str(at)) for at in range(256)]
    with pytest.raises(ValueError, match="255"):
        join(parts, tmp_path / "book.mp3", chapters=many)
    assert len(chapters_told(join(parts, tmp_path / "book.mp3", chapters=many[:255]).path)) == 255


def test_a_copied_book_plays_on_without_a_jump_in_time(parts: list[Part], tmp_path: Path) -> None:
    files = [join([part.source], tmp_path / f"{at}.m4a", to="m4a").path for at, part in enumerate(parts)]
    book = join(files * 3, tmp_path / "book.m4b", to="m4b", chapters="parts")
    with av.open(str(book.path)) as container:
        times = [packet.dts for packet in container.demux(container.streams.audio[0]) if packet.dts is not None]
    assert {later - earlier for earlier, later in pairwise(times)} == {1024}
