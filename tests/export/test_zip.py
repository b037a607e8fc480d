"""The ZIP: made while it is read, of a length that is known, and whole for those who open it."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audiostore import ChecksumMismatch, NotFound
from audiostore.export.zipping import Entry, ZipStream
from audiostore.streams import CHUNK
from tests.export.shelf import unzip_says_it_is_whole

NOON = datetime(2026, 11, 28, 12, 0, 1, tzinfo=UTC)


def entries(folder: Path, **sizes: int) -> list[Entry]:
    made: list[Entry] = []
    for name, size in sizes.items():
        path = folder / name
        path.write_bytes(bytes(number % 251 for number in range(size)))
        made.append(Entry(name=f"Größe/{name} 雨.mp3", path=path, size=size))
    return made


def stream(listed: list[Entry]) -> ZipStream:
    return ZipStream(listed, filename="book.zip", modified_at=NOON)


def test_it_is_as_long_as_it_says_and_others_can_read_it(tmp_path: Path) -> None:
    listed = entries(tmp_path, empty=0, small=10, large=3 * CHUNK + 1)
    zipped = stream(listed)
    assert zipped.filename == "book.zip"
    chunks = list(zipped)
    assert len(b"".join(chunks)) == zipped.length
    assert max(map(len, chunks)) <= CHUNK
    path = tmp_path / "book.zip"
    path.write_bytes(b"".join(chunks))
    assert unzip_says_it_is_whole(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [each.name for each in listed]
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read(listed[2].name) == listed[2].path.read_bytes()


def test_an_empty_one_is_whole_as_well(tmp_path: Path) -> None:
    zipped = stream([])
    assert len(b"".join(zipped)) == zipped.length


@pytest.mark.parametrize("limit", [0, 5, 15, 5_000, 9_000, 20_000])
def test_beyond_four_gigabytes_it_is_zip64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    # Where sizes, places and the directory need 64 bits, in every mixture; with a limit that a test can reach.
    listed = entries(tmp_path, a=10, b=8_000, c=4_900, d=0)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    zipped = stream(listed)
    content = b"".join(zipped)
    assert len(content) == zipped.length
    monkeypatch.undo()
    (tmp_path / "large.zip").write_bytes(content)
    assert unzip_says_it_is_whole(tmp_path / "large.zip")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert [archive.read(each.name) for each in listed] == [each.path.read_bytes() for each in listed]


def test_more_than_65_535_files_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    listed = entries(tmp_path, a=1, b=2, c=3)
    zipped = stream(listed)
    content = b"".join(zipped)
    assert len(content) == zipped.length
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(archive.namelist()) == 3


def test_a_file_that_changed_ends_the_stream(tmp_path: Path) -> None:
    for change in (b"short", b"much longer than it was"):
        listed = entries(tmp_path, a=10)
        zipped = stream(listed)
        listed[0].path.write_bytes(change)
        with pytest.raises(ChecksumMismatch):
            list(zipped)
    listed = entries(tmp_path, a=10)
    listed[0].path.unlink()
    with pytest.raises(NotFound):
        list(stream(listed))


def test_whoever_stops_early_leaves_no_file_open(tmp_path: Path) -> None:
    # pytest turns a file that is left open into a failure.
    with stream(entries(tmp_path, a=3 * CHUNK)) as zipped:
        next(zipped)
        next(zipped)
    assert list(zipped) == []
