from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import UploadFile
from werkzeug.datastructures import FileStorage

from audiostore import (
    AlreadyExists,
    AudioFile,
    AudioStore,
    FileTooLarge,
    FixedQuota,
    InvalidKey,
    Key,
    NotFound,
    QuotaExceeded,
    Unavailable,
    UnsupportedAudio,
    Upload,
)

from .conftest import MakeStore

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 40


def spooled(content: bytes) -> Any:
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - the store must not close it
    file.write(content)
    file.seek(0)
    return file


def in_pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


class OnlyReads:
    """What a request's body stream may be: it reads, and that is all."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


SOURCES: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda folder: WAV,
    "bytearray": lambda folder: bytearray(WAV),
    "memoryview": lambda folder: memoryview(WAV),
    "BytesIO": lambda folder: io.BytesIO(WAV),
    "SpooledTemporaryFile": lambda folder: spooled(WAV),
    "generator": lambda folder: in_pieces(WAV),
    "list of bytes": lambda folder: [WAV[:7], b"", WAV[7:]],
    "only reads": lambda folder: OnlyReads(WAV),
    "path": lambda folder: folder.joinpath(written(folder)),
    "str path": lambda folder: str(written(folder)),
    "open file": lambda folder: written(folder).open("rb"),
    "raw file": lambda folder: written(folder).open("rb", buffering=0),
    "Werkzeug FileStorage": lambda folder: FileStorage(io.BytesIO(WAV), filename="take.wav"),
    "Starlette UploadFile": lambda folder: UploadFile(spooled(WAV), filename="take.wav"),
}


def written(folder: Path) -> Path:
    path = folder / "take.wav"
    path.write_bytes(WAV)
    return path


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_is_stored_as_it_is(store: AudioStore, tmp_path: Path, kind: str) -> None:
    source: Any = SOURCES[kind](tmp_path)

    file = store.put(source, owner="alice", project="p1", chapter=1, section="2")

    assert store.get(file) == WAV
    assert (file.size, file.content_type) == (len(WAV), "audio/wav")
    assert (file.owner, file.project, file.chapter, file.section) == ("alice", "p1", "1", "2")
    file_object = getattr(source, "file", source)
    assert not getattr(file_object, "closed", False)
    if hasattr(file_object, "close"):
        file_object.close()


def test_a_file_object_is_read_from_where_it_stands_and_put_back_there(store: AudioStore) -> None:
    source = io.BytesIO(b"header" + WAV)
    source.seek(6)

    file = store.put(source, owner="alice")

    assert store.get(file) == WAV
    assert source.tell() == 6


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (WAV, "audio.wav"),
        (FileStorage(io.BytesIO(WAV), filename="Kapitel Ü - 1.wav"), "Kapitel Ü - 1.wav"),
        (FileStorage(io.BytesIO(WAV), filename="C:\\Users\\me\\take.wav"), "take.wav"),
        (FileStorage(io.BytesIO(WAV), filename="../../etc/passwd"), "passwd"),
    ],
)
def test_the_filename_is_the_sources_own_without_its_folders(store: AudioStore, source: Any, expected: str) -> None:
    assert store.put(source, owner="alice").filename == expected


def test_a_given_filename_wins_and_is_kept_in_any_language(store: AudioStore) -> None:
    file = store.put(FileStorage(io.BytesIO(WAV), filename="a.wav"), owner="alice", filename="第一章.wav")
    assert store.find(file.id).filename == "第一章.wav"
    assert store.put(WAV, owner="alice", filename="<3 song.wav").filename == "<3 song.wav"


def test_what_is_explicit_wins_over_what_is_sniffed_and_that_over_the_name(store: AudioStore) -> None:
    assert store.put(WAV, owner="a", content_type="audio/x-special").content_type == "audio/x-special"
    assert store.put(WAV, owner="a", filename="liar.mp3").content_type == "audio/wav"
    assert store.put(b"\x01\x02\x03\x80", owner="a", filename="take.m4b").content_type == "audio/mp4"
    assert store.put(b"\x01\x02\x03\x80", owner="a").content_type == "application/octet-stream"


def test_metadata_comes_back_as_it_was(store: AudioStore) -> None:
    metadata = {"take": 3, "notes": ["ü", None], "deep": {"er": True}}
    file = store.put(WAV, owner="alice", metadata=metadata)
    assert store.find(file.id).metadata == metadata


@pytest.mark.parametrize("source", [None, 3, object(), "text that is no path", io.StringIO("text"), ["text"], {"a": 1}])
def test_what_is_no_audio_source_is_a_clear_error_and_leaves_nothing(store: AudioStore, source: Any) -> None:
    with pytest.raises((TypeError, NotFound)):
        store.put(source, owner="alice")
    assert nothing_left(store)


def test_an_asynchronous_source_says_that_it_must_be_awaited(store: AudioStore) -> None:
    class Body:
        async def read(self) -> bytes:
            return b""

    with pytest.raises(TypeError, match="awaited"):
        store.put(Body(), owner="alice")


def test_a_folder_and_a_pipe_are_no_files(store: AudioStore, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(ValueError, match="not a file"):
            store.put(path, owner="alice")


def test_a_closed_file_is_a_value_error(store: AudioStore) -> None:
    file = io.BytesIO(WAV)
    file.close()
    with pytest.raises(ValueError, match="closed"):
        store.put(file, owner="alice")
    assert nothing_left(store)


def test_a_generator_that_raises_midway_gets_its_own_error_back(store: AudioStore) -> None:
    def breaking() -> Iterator[bytes]:
        yield WAV
        raise KeyError("the microphone broke")

    with pytest.raises(KeyError, match="microphone"):
        store.put(breaking(), owner="alice")
    assert nothing_left(store)


@pytest.mark.parametrize("owner", ["", None, 3, b"alice", "a\0b", "\ud800"])
def test_an_owner_is_text(store: AudioStore, owner: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        store.put(WAV, owner=owner)


@pytest.mark.parametrize("bad", ["", "a\0b", 1.5, True, b"x"])
def test_a_place_is_text_or_an_int(store: AudioStore, bad: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        store.put(WAV, owner="alice", chapter=bad)


def test_an_empty_file_is_refused(store: AudioStore) -> None:
    with pytest.raises(UnsupportedAudio) as refused:
        store.put(b"", owner="alice")
    assert refused.value.code == "empty"
    assert nothing_left(store)


def test_reading_stops_at_the_first_byte_too_many(make: MakeStore) -> None:
    store = make(quota=FixedQuota("1 MB", per_file="100 KB"))
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1024
            yield b"x" * 1024

    with pytest.raises(FileTooLarge) as refused:
        store.put(endless(), owner="alice")
    assert refused.value.limit == 100 * 1024
    assert read == 101 * 1024
    assert nothing_left(store)


def test_reading_stops_at_what_is_left_of_the_quota(make: MakeStore) -> None:
    store = make(quota=FixedQuota(len(WAV) + 10))
    store.put(WAV, owner="alice")

    with pytest.raises(QuotaExceeded) as refused:
        store.put(in_pieces(WAV), owner="alice")

    assert (refused.value.kind, refused.value.used, refused.value.limit) == ("bytes", len(WAV), len(WAV) + 10)
    assert store.usage("alice").used == len(WAV)
    assert store.put(WAV, owner="bob").size == len(WAV)


def test_a_file_that_can_tell_its_size_is_refused_before_it_is_read(make: MakeStore) -> None:
    class Counting(io.BytesIO):
        reads = 0

        def readinto(self, buffer: Any) -> int:
            self.reads += 1
            return super().readinto(buffer)

    source = Counting(b"x" * 2000)
    with pytest.raises(FileTooLarge) as refused:
        make(quota=FixedQuota(per_file=1000)).put(source, owner="alice")
    assert (refused.value.size, source.reads, source.tell()) == (2000, 0, 0)


def test_a_compressed_file_that_does_not_know_its_end_is_read_to_it(store: AudioStore, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "take.wav.gz", "wb") as packed:
        packed.write(WAV)
    with gzip.open(tmp_path / "take.wav.gz") as unpacked:
        assert store.get(store.put(unpacked, owner="alice")) == WAV


def test_a_count_of_files_is_held(make: MakeStore) -> None:
    store = make(quota=FixedQuota(files=1))
    first = store.put(WAV, owner="alice")
    with pytest.raises(QuotaExceeded) as refused:
        store.put(WAV, owner="alice")
    assert refused.value.kind == "files"
    store.replace(first, WAV)
    store.delete(first)
    store.put(WAV, owner="alice")


def test_text_is_refused_where_only_audio_is_allowed(make: MakeStore) -> None:
    store = make(quota=FixedQuota(types={"audio/*"}))
    with pytest.raises(UnsupportedAudio) as refused:
        store.put(b"Dear diary, this is no audio at all.\n" * 9, owner="alice", filename="renamed.mp3")
    assert refused.value.code == "type"
    assert store.put(WAV, owner="alice").content_type == "audio/wav"
    assert store.usage("alice").files == 1


def test_a_quota_that_cannot_be_read_refuses(make: MakeStore) -> None:
    def broken(owner: str) -> Any:
        raise RuntimeError("the billing system is down")

    store = make(quota=broken)
    with pytest.raises(Unavailable, match="quota") as refused:
        store.put(WAV, owner="alice")
    assert refused.value.retryable
    assert isinstance(refused.value.__cause__, RuntimeError)


def test_equal_names_at_equal_places_never_collide(store: AudioStore) -> None:
    takes = [store.put(b"RIFF%04dWAVE" % n, owner="alice", project="p", filename="take.wav") for n in range(20)]
    assert len({take.key for take in takes}) == 20
    assert [store.get(take)[4:8] for take in takes] == [b"%04d" % n for n in range(20)]


def test_an_equal_idempotency_key_gives_the_first_result(make: MakeStore) -> None:
    store = make(quota=FixedQuota(len(WAV)))
    first = store.put(WAV, owner="alice", project="p1", idempotency_key="try-1")

    again = store.put(WAV, owner="alice", project="p1", idempotency_key="try-1")

    assert again == first
    assert store.usage("alice").used == len(WAV)
    store.put(WAV, owner="bob", project="p1", idempotency_key="try-1")


@pytest.mark.parametrize("other", [{"project": "p2"}, {"source": WAV[:-1]}, {"source": b"y" * len(WAV)}])
def test_an_idempotency_key_is_for_one_request(store: AudioStore, other: dict[str, Any]) -> None:
    store.put(WAV, owner="alice", project="p1", idempotency_key="try-1")
    request: dict[str, Any] = {"source": WAV, "project": "p1", **other}
    with pytest.raises(AlreadyExists) as refused:
        store.put(request.pop("source"), owner="alice", idempotency_key="try-1", **request)
    assert refused.value.reason == "idempotency"


def test_a_path_builder_that_repeats_a_key_is_refused_and_the_first_file_stays(make: MakeStore) -> None:
    def always_the_same(upload: Upload) -> str:
        return f"{upload.owner}/take.wav"

    store = make(paths=always_the_same)
    first = store.put(WAV, owner="alice")
    with pytest.raises(AlreadyExists):
        store.put(b"other", owner="alice")
    assert store.get(first) == WAV
    assert store.usage("alice").files == 1


def test_bytes_that_were_there_before_us_are_left_alone(make: MakeStore) -> None:
    def their_key(upload: Upload) -> Key:
        return Key("alice/theirs.wav")

    store = make(paths=their_key)
    staged = store.put(WAV, owner="alice")
    store.catalog.forget([each.id for each in store.catalog.hide("alice", [staged.id])])

    with pytest.raises(AlreadyExists):
        store.put(b"other", owner="alice")
    store.sweep()

    assert store.backend.stat(Key("alice/theirs.wav")).size == len(WAV)
    assert store.usage("alice").reserved == 0


def test_a_path_builder_cannot_leave_the_root(make: MakeStore) -> None:
    def outside(upload: Upload) -> str:
        return "../outside.wav"

    store = make(paths=outside)
    with pytest.raises(InvalidKey):
        store.put(WAV, owner="alice")
    assert store.usage("alice").reserved == 0


def test_a_path_that_is_given_away_is_gone_once_it_is_stored(store: AudioStore, tmp_path: Path) -> None:
    path = written(tmp_path)
    file = store.put(path, owner="alice", move=True)
    assert store.get(file) == WAV
    assert not path.exists()


def test_a_path_that_is_given_away_stays_when_the_put_fails(make: MakeStore, tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(FileTooLarge):
        make(quota=FixedQuota(per_file=10)).put(path, owner="alice", move=True)
    assert path.read_bytes() == WAV


def test_progress_can_cancel_a_put(store: AudioStore) -> None:
    def cancel(done: int, resume: str | None) -> None:
        raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        store.put(WAV, owner="alice", progress=cancel)
    assert nothing_left(store)


def nothing_left(store: AudioStore) -> bool:
    usage = store.usage("alice")
    staging = store.backend.capabilities.staging
    files: list[AudioFile] = list(store.list(owner="alice"))
    return (
        (usage.used, usage.reserved, usage.files, usage.pending, files) == (0, 0, 0, 0, [])
        and not list(store.backend.list())
        and (staging is None or not staging.exists() or not list(staging.iterdir()))
    )
