"""Streams let go of what is behind them exactly once; a file made of ranged reads is a file."""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiostore.errors import Unavailable
from audiostore.streams import CHUNK, ByteStream, SeekableFile, clamp_range, read_range

CONTENT = bytes(range(256)) * 40


class Closed:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def failing() -> Iterator[bytes]:
    yield b"a"
    raise Unavailable("it broke off")


def broken() -> Iterator[bytes]:
    yield from ()
    raise Unavailable("it broke off")


def _to_its_end(stream: ByteStream) -> None:
    assert b"".join(stream) == b"abc"


def _half(stream: ByteStream) -> None:
    next(stream)
    stream.close()


def _with(stream: ByteStream) -> None:
    with stream as same:
        assert next(same) == b"a"


def _drop(stream: ByteStream) -> None:
    next(stream)


@pytest.mark.parametrize("use", [_to_its_end, _half, _with, _drop, id])
def test_a_stream_lets_go_exactly_once_however_it_is_used(use: Callable[[ByteStream], None]) -> None:
    closed = Closed()
    stream = ByteStream(iter([b"a", b"b", b"c"]), 3, closed)
    use(stream)
    del stream
    gc.collect()
    assert closed.times == 1


def test_a_stream_that_is_closed_again_or_read_on_stays_closed() -> None:
    closed = Closed()
    stream = ByteStream(iter([b"a", b"b"]), 2, closed)
    stream.close()
    stream.close()
    assert list(stream) == []
    assert closed.times == 1
    assert stream.length == 2


def test_a_stream_that_breaks_off_lets_go_and_says_so() -> None:
    closed = Closed()
    stream = ByteStream(failing(), 3, closed)
    with pytest.raises(Unavailable):
        list(stream)
    assert closed.times == 1
    assert list(stream) == []


# Ranges


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.none() | st.integers(0, 300))
def test_a_range_is_clamped_as_python_slices(size: int, start: int, end: int | None) -> None:
    content = CONTENT[:size]
    first, last = clamp_range(start, end, size)
    assert 0 <= first <= last <= size
    assert content[first:last] == content[start:end]


@pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1)])
def test_a_negative_range_is_refused(start: int, end: int | None) -> None:
    with pytest.raises(ValueError, match="negative"):
        clamp_range(start, end, 10)


@pytest.mark.parametrize(("start", "end"), [(0, 10_240), (0, 0), (5, 6), (10_240, 10_240), (100, 9_000)])
def test_a_range_of_a_file_is_read_and_the_file_closed(tmp_path: Path, start: int, end: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    file = path.open("rb")
    stream = read_range(file, start, end)
    assert stream.length == end - start
    assert b"".join(stream) == CONTENT[start:end]
    assert file.closed


def test_a_range_that_ends_before_it_starts_is_empty() -> None:
    stream = read_range(io.BytesIO(CONTENT), 9, 4)
    assert (stream.length, list(stream)) == (0, [])


def test_chunks_are_bounded() -> None:
    big = bytes(3 * CHUNK + 1)
    assert [len(each) for each in read_range(io.BytesIO(big), 0, len(big))] == [CHUNK, CHUNK, CHUNK, 1]


def test_a_file_that_was_cut_meanwhile_is_told() -> None:
    file = io.BytesIO(CONTENT)
    stream = read_range(file, 0, len(CONTENT) + 5)
    with pytest.raises(Unavailable, match="5 bytes early"):
        list(stream)
    assert file.closed


# A file made of ranged reads


class Behind:
    """What a backend does, and how often: a stream per read, in chunks of *step*, every one of them counted."""

    def __init__(self, content: bytes = CONTENT, step: int = 37) -> None:
        self.content = content
        self.step = step
        self.opened: list[int] = []
        self.closed = 0

    def read(self, start: int, end: int) -> ByteStream:
        self.opened.append(start)
        part = self.content[start:end]
        chunks = [part[at : at + self.step] for at in range(0, len(part), self.step)]
        return ByteStream(iter(chunks), len(part), self._close)

    def _close(self) -> None:
        self.closed += 1

    def file(self) -> SeekableFile:
        return SeekableFile(self.read, len(self.content), "take.wav")


steps = st.lists(
    st.tuples(st.just("seek"), st.integers(-50, 11_000), st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]))
    | st.tuples(st.sampled_from(["read", "read1", "readinto", "peek"]), st.integers(0, 600), st.just(0))
    | st.tuples(st.sampled_from(["readline", "tell", "readall"]), st.just(0), st.just(0)),
    max_size=30,
)


@pytest.fixture(scope="module")
def real_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "take.wav"
    path.write_bytes(CONTENT)
    return path


@settings(deadline=None)
@given(steps=steps, buffer=st.sampled_from([1, 16, 100, 8192]), step=st.integers(1, 500))
def test_it_reads_and_seeks_as_a_real_file(
    real_path: Path, steps: list[tuple[str, int, int]], buffer: int, step: int
) -> None:
    behind = Behind(step=step)
    with io.BufferedReader(behind.file(), buffer) as file, io.BufferedReader(io.FileIO(real_path), buffer) as real:
        for act, number, whence in steps:
            assert _outcome(file, act, number, whence) == _outcome(real, act, number, whence)
            assert file.tell() == real.tell()
    assert behind.closed == len(behind.opened)


def _outcome(file: io.BufferedReader[Any], act: str, number: int, whence: int) -> object:
    match act:
        case "seek":
            try:
                return file.seek(number, whence)
            except (ValueError, OSError):
                return "refused"
        case "read":
            return file.read(number)
        case "read1":
            # How much is in the buffer is each reader's own affair; that it goes on from there is not.
            at = file.tell()
            got = file.read1(number)
            assert got == CONTENT[at : at + len(got)]
            file.seek(at)
            return file.read(number)
        case "readinto":
            target = bytearray(number)
            return file.readinto(target), bytes(target)
        case "peek":
            at = file.tell()
            return CONTENT[at:].startswith(file.peek(number)) and bool(file.peek(1)) == (at < len(CONTENT))
        case "readline":
            return file.readline()
        case "readall":
            return file.read()
        case _:
            return file.tell()


def test_reading_on_shares_one_stream_and_a_seek_opens_another() -> None:
    behind = Behind()
    file = behind.file()
    assert b"".join(file.read(10) or b"" for _ in range(5)) == CONTENT[: 37 + 10]
    assert behind.opened == [0]
    file.seek(5_000)
    assert file.read(1) == CONTENT[5_000:5_001]
    file.seek(0, os.SEEK_CUR)
    file.seek(5_010)
    assert file.read(1) == CONTENT[5_010:5_011]
    assert behind.opened == [0, 5_000], "a short hop stays within the chunk at hand"
    file.seek(0)
    file.read(1)
    assert behind.opened == [0, 5_000, 0]
    file.close()
    assert behind.closed == 3


def test_seeking_alone_reads_nothing() -> None:
    behind = Behind()
    with behind.file() as file:
        assert file.seek(0, os.SEEK_END) == len(CONTENT)
        assert file.read(5) == b""
        file.seek(10**12)
        assert file.read(5) == b""
    assert behind.opened == []


def test_it_says_what_it_can_do() -> None:
    with Behind().file() as file:
        assert (file.readable(), file.seekable(), file.writable(), file.name) == (True, True, False, "take.wav")
        with io.BufferedReader(file) as buffered, pytest.raises(io.UnsupportedOperation):
            buffered.write(b"x")


def test_a_seek_that_means_nothing_is_refused() -> None:
    with Behind().file() as file:
        with pytest.raises(ValueError, match="negative"):
            file.seek(-1)
        with pytest.raises(ValueError, match="whence"):
            file.seek(0, 9)
        assert file.tell() == 0


def test_once_closed_it_reads_nothing_more() -> None:
    behind = Behind()
    file = behind.file()
    file.read(1)
    file.close()
    file.close()
    for act in (lambda: file.read(1), lambda: file.seek(0), file.tell):
        with pytest.raises(ValueError, match="closed"):
            act()
    assert (behind.opened, behind.closed) == ([0], 1)


def test_dropped_it_lets_go() -> None:
    behind = Behind()
    file = behind.file()
    file.read(1)
    del file
    gc.collect()
    assert behind.closed == 1


def test_a_stream_that_breaks_off_is_an_error_each_time_and_never_an_early_end() -> None:
    calls: list[int] = []

    def read(start: int, end: int) -> ByteStream:
        calls.append(start)
        return ByteStream((failing(), broken(), iter([b"bc"]))[len(calls) - 1], end - start)

    with SeekableFile(read, 3) as file:
        assert file.read(1) == b"a"
        for _ in range(2):
            with pytest.raises(Unavailable):
                file.read(1)
        assert file.read(5) == b"bc"


def test_a_stream_that_ends_early_is_no_end_of_file() -> None:
    with SeekableFile(lambda start, end: ByteStream(iter([b"ab", b""]), 5), 5) as file:
        assert file.read(5) == b"ab"
        with pytest.raises(Unavailable, match="early"):
            file.read(5)


def test_an_empty_chunk_is_no_end_of_file() -> None:
    with io.BufferedReader(SeekableFile(lambda start, end: ByteStream(iter([b"", b"a", b"", b"b"]), 2), 2)) as file:
        assert file.read() == b"ab"
