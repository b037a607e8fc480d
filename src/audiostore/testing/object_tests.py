"""The part of ``BackendSuite`` that is about one object: written, looked at, read, never half and never replaced."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from threading import Barrier

import pytest

from audiostore.errors import AlreadyExists, AudioStoreError, ChecksumMismatch, NotFound
from audiostore.keys import MAX_KEY, MAX_SEGMENT, Key
from audiostore.models import Staged
from audiostore.streams import CHUNK
from audiostore.testing.bench import Bench, differs_at

_HOUR = timedelta(hours=1)


class ObjectTests:
    """See ``BackendSuite``, which inherits these."""

    creates_once: bool = True

    # Write, stat, read

    @pytest.mark.parametrize("disposable", [True, False], ids=["disposable", "callers_own"])
    def test_what_is_written_is_read_back(self, bench: Bench, disposable: bool) -> None:
        data = bytes(range(256)) * 5
        key = bench.write("take.wav", data, disposable=disposable)
        assert bench.read(key) == data

    def test_write_and_stat_tell_key_size_and_time(self, bench: Bench) -> None:
        key = bench.key("p1/take.wav")
        written = bench.backend.write(key, bench.stage(b"12345"))
        seen = bench.backend.stat(key)
        for told in (written, seen):
            assert (told.key, told.size) == (key, 5)
            assert isinstance(told.key, Key)
            assert abs(datetime.now(UTC) - told.modified_at) < _HOUR

    def test_an_empty_object_is_an_object(self, bench: Bench) -> None:
        key = bench.write("empty.wav", b"")
        assert bench.backend.stat(key).size == 0
        assert bench.read(key) == b""
        assert bench.listed() == ["empty.wav"]

    def test_an_object_of_many_chunks_keeps_every_byte(self, bench: Bench) -> None:
        data = bytes(range(251)) * (5 * CHUNK // 251)
        key = bench.write("long.wav", data, disposable=False)
        assert differs_at(bench.read(key), data) is None

    def test_a_missing_object_is_not_found(self, bench: Bench) -> None:
        bench.write("here.wav")
        for path in ("missing.wav", "no/such/folder.wav"):
            with pytest.raises(NotFound):
                bench.backend.stat(bench.key(path))
            with pytest.raises(NotFound):  # at the call, before any chunk
                bench.backend.read(bench.key(path))

    def test_a_folder_is_not_an_object(self, bench: Bench) -> None:
        bench.write("p1/take.wav")
        with pytest.raises(NotFound):
            bench.backend.stat(bench.key("p1"))
        with pytest.raises(NotFound):
            bench.backend.read(bench.key("p1"))
        assert bench.backend.delete([bench.key("p1")]) == frozenset()
        assert bench.listed() == ["p1/take.wav"]

    # Ranges

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0, None, b"0123456789"),
            (3, None, b"3456789"),
            (0, 0, b""),
            (0, 1, b"0"),
            (4, 7, b"456"),
            (9, 10, b"9"),
            (9, None, b"9"),
            (0, 10, b"0123456789"),
            (0, 11, b"0123456789"),
            (5, 1_000_000, b"56789"),
            (10, None, b""),
            (10, 12, b""),
            (1_000_000, None, b""),
            (7, 3, b""),
        ],
    )
    def test_a_range_is_cut_exactly(self, bench: Bench, start: int, end: int | None, expected: bytes) -> None:
        key = bench.write("digits.wav", b"0123456789")
        with bench.backend.read(key, start, end) as stream:
            assert stream.length == len(expected)
            assert b"".join(stream) == expected

    def test_a_range_may_span_chunks(self, bench: Bench) -> None:
        data = bytes(range(251)) * (3 * CHUNK // 251)
        key = bench.write("long.wav", data)
        assert differs_at(bench.read(key, CHUNK - 1, 2 * CHUNK + 1), data[CHUNK - 1 : 2 * CHUNK + 1]) is None

    @pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1), (-5, -1)])
    def test_a_negative_range_is_refused(self, bench: Bench, start: int, end: int | None) -> None:
        key = bench.write("take.wav")
        with pytest.raises(ValueError, match="negative"):
            bench.backend.read(key, start, end)

    def test_a_closed_stream_gives_nothing_more(self, bench: Bench) -> None:
        key = bench.write("long.wav", bytes(3 * CHUNK))
        stream = bench.backend.read(key)
        assert next(stream)
        stream.close()
        stream.close()
        assert list(stream) == []

    def test_streams_do_not_disturb_each_other(self, bench: Bench) -> None:
        data = bytes(range(251)) * (3 * CHUNK // 251)
        key = bench.write("long.wav", data)
        with bench.backend.read(key) as one, bench.backend.read(key, 7) as other:
            # Their chunks may be cut differently, so one may have a chunk more than the other.
            pairs = list(zip_longest(one, other, fillvalue=b""))
            assert differs_at(b"".join(each for each, _ in pairs), data) is None
            assert differs_at(b"".join(each for _, each in pairs), data[7:]) is None

    # All or nothing, never over

    @pytest.mark.parametrize("disposable", [True, False], ids=["disposable", "callers_own"])
    def test_nothing_is_overwritten(self, bench: Bench, disposable: bool) -> None:
        key = bench.write("take.wav", b"first")
        for data in (b"other", b"first", b""):
            with pytest.raises(AlreadyExists) as raised:
                bench.backend.write(key, bench.stage(data, disposable=disposable))
            assert raised.value.reason == "key"
        assert bench.read(key) == b"first"

    def test_a_callers_own_file_is_only_read(self, bench: Bench) -> None:
        staged = bench.stage(b"mine")
        bench.backend.write(bench.key("one.wav"), staged)
        bench.backend.write(bench.key("two.wav"), staged)
        bench.backend.delete([bench.key("one.wav"), bench.key("two.wav")])
        assert staged.path.read_bytes() == b"mine"

    def test_a_callers_own_file_may_change_afterwards(self, bench: Bench) -> None:
        staged = bench.stage(b"as it was")
        bench.backend.write(bench.key("take.wav"), staged)
        staged.path.write_bytes(b"something else")
        assert bench.read(bench.key("take.wav")) == b"as it was"

    @pytest.mark.parametrize("disposable", [True, False], ids=["disposable", "callers_own"])
    def test_progress_is_told_before_the_object_is_there(self, bench: Bench, disposable: bool) -> None:
        key, told, seen = bench.key("take.wav"), list[int](), list[bool]()

        def progress(done: int, resume: str | None) -> None:
            told.append(done)
            seen.append(bench.is_missing(key))

        bench.backend.write(key, bench.stage(bytes(3 * CHUNK), disposable=disposable), progress=progress)
        assert told
        assert told == sorted(told)
        assert told[-1] <= 3 * CHUNK
        assert all(seen)

    @pytest.mark.parametrize("disposable", [True, False], ids=["disposable", "callers_own"])
    @pytest.mark.parametrize("when", ["at_once", "at_the_end"])
    @pytest.mark.parametrize("error", [LookupError("stop"), OSError(2, "stop")], ids=["exception", "os_error"])
    def test_a_failed_write_leaves_nothing(self, bench: Bench, disposable: bool, when: str, error: Exception) -> None:
        data, calls = bytes(3 * CHUNK), list[int]()
        bench.backend.write(
            bench.key("before.wav"),
            bench.stage(data, disposable=disposable),
            progress=lambda done, resume: calls.append(done),
        )
        last = len(calls) if when == "at_the_end" else 1
        key = bench.key("deep/er/take.wav")

        def progress(done: int, resume: str | None) -> None:
            calls.append(done)
            if len(calls) == last:
                raise error

        calls.clear()
        with pytest.raises(type(error)) as raised:
            bench.backend.write(key, bench.stage(data, disposable=disposable), progress=progress)
        assert raised.value is error
        assert bench.is_missing(key)
        assert bench.write("deep/er/take.wav", b"later") == key

    @pytest.mark.parametrize("now", [b"shrunk", b"the source has grown", b"ehT source", b""])
    def test_a_source_that_changed_is_refused_and_leaves_nothing(self, bench: Bench, now: bytes) -> None:
        key, staged = bench.key("deep/take.wav"), bench.stage(b"the source")
        staged.path.write_bytes(now)
        with pytest.raises(ChecksumMismatch):
            bench.backend.write(key, staged)
        assert bench.is_missing(key)
        assert bench.write("deep/take.wav", b"later") == key

    def test_a_source_that_is_gone_leaves_nothing(self, bench: Bench) -> None:
        key, staged = bench.key("deep/take.wav"), bench.stage(b"gone")
        staged.path.unlink()
        with pytest.raises(AudioStoreError):
            bench.backend.write(key, staged)
        assert bench.is_missing(key)

    def test_of_many_writers_of_one_key_one_wins_whole(self, bench: Bench) -> None:
        writers, key = 8, bench.key("contested/take.wav")
        sources = [bench.stage(bytes([65 + n]) * (CHUNK + n), disposable=n % 2 == 0) for n in range(writers)]
        start = Barrier(writers)

        def attempt(staged: Staged) -> bool:
            start.wait()
            try:
                bench.backend.write(key, staged)
            except AlreadyExists:
                return False
            return True

        with ThreadPoolExecutor(writers) as pool:
            wins = sum(pool.map(attempt, sources))
        assert wins == 1 or (wins > 1 and not self.creates_once)
        whole = bench.read(key)
        assert any(differs_at(whole, bytes([65 + n]) * (CHUNK + n)) is None for n in range(writers))

    # Keys

    @pytest.mark.parametrize(
        "path",
        [
            "AZ az 09_-.wav",
            "!'()&$=@;+,.wav",
            "a..b/c.d.e",
            "=/@/(1)",
            "x" * MAX_SEGMENT,
        ],
    )
    def test_every_portable_key_can_be_used(self, bench: Bench, path: str) -> None:
        key = bench.write(path, path.encode())
        assert bench.read(key) == path.encode()
        assert bench.listed() == [path]
        assert bench.backend.delete([key]) == {key}

    def test_the_longest_key_can_be_used(self, bench: Bench) -> None:
        room = MAX_KEY - len(bench.key("x")) + 1
        folders, rest = divmod(room - 1, 100)
        key = bench.write(("d" * 99 + "/") * folders + "f" * (rest + 1))
        assert len(key) == MAX_KEY
        assert bench.read(key) == b"sound"

    def test_keys_that_differ_in_case_are_never_mixed_up(self, bench: Bench) -> None:
        lower = bench.write("take.wav", b"lower")
        with suppress(AlreadyExists):  # a file system that does not tell them apart refuses the second
            assert bench.read(bench.write("TAKE.wav", b"upper")) == b"upper"
        assert bench.read(lower) == b"lower"
