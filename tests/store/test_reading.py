from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from audiostore import AudioStore, ChecksumMismatch, ConfigurationError, NotFound, serve
from audiostore.keys import Key

from .conftest import Clock, MakeStore

BYTES = bytes(range(256)) * 4000


def test_no_one_reads_what_is_not_theirs(store: AudioStore, tmp_path: Path) -> None:
    file = store.put(BYTES, owner="alice", project="p1")
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: store.get(file.id, owner="bob"),
        "get with the record": lambda: store.get(file, owner="bob"),
        "stream": lambda: store.stream(file.id, owner="bob"),
        "open": lambda: store.open(file.id, owner="bob"),
        "download_to": lambda: store.download_to(file.id, tmp_path / "x", owner="bob"),
        "stat": lambda: store.stat(file.id, owner="bob"),
        "find": lambda: store.find(file.id, owner="bob"),
        "find path": lambda: store.find(path=file.key, owner="bob"),
        "url": lambda: store.url(file.id, owner="bob"),
        "urls": lambda: store.urls([file.id], owner="bob"),
        "delete": lambda: store.delete(file.id, owner="bob"),
        "move": lambda: store.move(file.id, owner="bob", project="mine"),
        "copy": lambda: store.copy(file.id, owner="bob"),
        "replace": lambda: store.replace(file.id, b"mine", owner="bob"),
        "promote": lambda: store.promote(file.id, owner="bob"),
    }
    for name, call in calls.items():
        with pytest.raises(NotFound):
            call()
        assert store.get(file) == BYTES, name
    assert not store.exists(file.id, owner="bob")
    assert not (tmp_path / "x").exists()
    assert list(store.list(owner="bob")) == []


def test_a_bare_id_asks_who_is_asking(store: AudioStore, tmp_path: Path) -> None:
    file = store.put(BYTES, owner="alice")
    for call in (
        lambda: store.get(file.id),
        lambda: store.delete(file.id),
        lambda: store.url(file.id),
        lambda: store.stream(file.id),
        lambda: store.exists(file.id),
    ):
        with pytest.raises(TypeError, match="owner"):
            call()
    assert store.find(file.id) == file


def test_a_file_is_found_by_the_path_that_an_app_kept(store: AudioStore) -> None:
    file = store.put(BYTES, owner="alice", project="p1", chapter=1, section=2)
    assert store.find(path=str(file.key), owner="alice") == file
    for path in ("nowhere.wav", "../../etc/passwd", "", "é.wav", "x" * 5000):
        with pytest.raises(NotFound):
            store.find(path=path, owner="alice")
    for wrong in ({}, {"id": file.id, "path": file.key}, {"path": file.key}):
        with pytest.raises(TypeError):
            store.find(**wrong)


def test_a_listing_is_by_place_in_order_and_lazy(store: AudioStore) -> None:
    files = [
        store.put(b"%d" % n, owner="alice", project=f"p{n % 2}", chapter=n % 3, section=n, filename="t.bin")
        for n in range(12)
    ]
    assert list(store.list(owner="alice")) == files
    assert list(store.list(owner="alice", project="p1")) == files[1::2]
    assert list(store.list(owner="alice", project="p0", chapter=0)) == [files[0], files[6]]
    assert list(store.list(owner="alice", section=7)) == [files[7]]
    assert list(islice(store.list(owner="alice", after=files[3].id), 2)) == files[4:6]
    lazy = store.list(owner="alice")
    first = next(lazy)
    store.delete(first)
    assert next(lazy) == files[1]


def test_a_range_is_streamed(store: AudioStore) -> None:
    file = store.put(BYTES, owner="alice")
    for start, end in ((0, None), (10, 20), (len(BYTES) - 5, None), (5, 5), (len(BYTES), None), (0, 10**12)):
        with store.stream(file, start, end) as stream:
            assert b"".join(stream) == BYTES[start:end]
    with pytest.raises(ValueError, match="range"):
        store.stream(file, -1)


def test_an_open_file_seeks_and_serves_a_zip_reader(store: AudioStore) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "first" * 1000)
        archive.writestr("b.txt", "second")
    file = store.put(buffer.getvalue(), owner="alice")
    with store.open(file) as opened:
        assert opened.seekable()
        assert opened.name == file.filename
        assert zipfile.ZipFile(opened).read("b.txt") == b"second"


def test_a_download_is_all_or_nothing_and_verified(store: AudioStore, tmp_path: Path) -> None:
    file = store.put(BYTES, owner="alice")
    target = tmp_path / "out.bin"
    seen: list[int] = []

    assert store.download_to(file, target, progress=lambda done, _: seen.append(done)) == target
    assert target.read_bytes() == BYTES
    assert seen[-1] == len(BYTES)

    class Stop(Exception):
        pass

    def stop(done: int, resume: str | None) -> None:
        raise Stop

    target.write_bytes(b"as it was")
    with pytest.raises(Stop):
        store.download_to(file, target, progress=stop)
    assert target.read_bytes() == b"as it was"
    assert [path.name for path in tmp_path.iterdir() if path.is_file() and "catalog" not in path.name] == ["out.bin"]


def test_bytes_that_rotted_are_not_given_out_as_good(store: AudioStore, tmp_path: Path) -> None:
    file = store.put(BYTES, owner="alice")
    other = store.put(b"x" * len(BYTES), owner="alice")
    store.backend.delete([file.key])
    store.backend.copy(other.key, file.key)
    with pytest.raises(ChecksumMismatch) as found:
        store.get(file)
    assert found.value.expected == file.sha256
    with pytest.raises(ChecksumMismatch):
        store.download_to(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_stat_and_exists_look_at_the_bytes_too(store: AudioStore) -> None:
    file = store.put(BYTES, owner="alice")
    assert store.stat(file).size == len(BYTES)
    assert store.exists(file)
    store.backend.delete([file.key])
    assert not store.exists(file)
    with pytest.raises(NotFound):
        store.get(file)


@pytest.mark.own_links
def test_a_link_plays_for_as_long_as_was_asked_and_no_longer(store: AudioStore, clock: Clock) -> None:
    file = store.put(BYTES, owner="alice")
    link = store.url(file, expires=timedelta(minutes=10))
    now = datetime.fromtimestamp(clock.now, UTC)
    assert timedelta(minutes=7.5) <= link.expires_at - now <= timedelta(minutes=10)
    token = urlsplit(link).path.rpartition("/")[2]

    with serve(store, token, headers={"Range": "bytes=10-19"}) as reply:
        assert (reply.status, b"".join(reply.body)) == (206, BYTES[10:20])
    clock.advance(link.expires_at - now + timedelta(milliseconds=1))
    with serve(store, token) as reply:
        assert reply.status == 403


@pytest.mark.own_links
def test_equal_links_are_equal_so_that_caches_keep_what_they_have(store: AudioStore) -> None:
    file = store.put(BYTES, owner="alice")
    assert store.url(file) == store.url(file)
    assert store.url(file) != store.url(file, download_as="take.bin")
    assert "%" not in store.url(file, download_as="Ü.bin")


def test_a_whole_chapter_is_signed_in_order(store: AudioStore) -> None:
    files = [store.put(b"%d" % n, owner="alice") for n in range(5)]
    links = store.urls([files[3], files[0].id, files[3]], owner="alice")
    assert list(links) == [store.url(files[n]) for n in (3, 0, 3)]
    assert store.urls([]) == []
    with pytest.raises(NotFound):
        store.urls([files[0].id, "missing"], owner="alice")


@pytest.mark.parametrize("expires", [timedelta(0), timedelta(seconds=-1)])
def test_a_link_must_have_a_future(store: AudioStore, expires: timedelta) -> None:
    file = store.put(BYTES, owner="alice")
    with pytest.raises(ValueError, match="expires"):
        store.url(file, expires=expires)


@pytest.mark.own_links
def test_without_a_secret_links_say_what_is_missing_and_the_rest_works(make: MakeStore) -> None:
    store = make(secret=None)
    file = store.put(BYTES, owner="alice")
    with pytest.raises(ConfigurationError, match="AUDIOSTORE_SECRET"):
        store.url(file)
    with pytest.raises(ConfigurationError):
        store.begin_upload(owner="alice", size=10)
    assert store.usage("alice").reserved == 0
    assert store.get(file) == BYTES


@pytest.mark.own_links
def test_links_survive_the_rotation_of_secrets(make: MakeStore) -> None:
    store = make(secret=["the old secret, long enough"])
    file = store.put(BYTES, owner="alice")
    token = store.url(file).rpartition("/")[2]
    rotated = AudioStore(store.backend, store.catalog, secret=["the old secret, long enough", "the new one, long too"])
    assert rotated.signer.verify(token, "GET").key == Key(file.key)
    later = AudioStore(store.backend, store.catalog, secret="the new one, long too")
    with serve(later, token) as reply:
        assert reply.status == 403
