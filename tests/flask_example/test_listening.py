"""Links over a real socket: playing, seeking, saving, expiring."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from audiostore import AudioStore, Key
from audiostore.backends.local import LocalBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.streams import ByteStream
from tests.flask_example.conftest import Clock
from tests.flask_example.running import Visitor, running


@pytest.fixture
def link(alice: Visitor, recording: bytes) -> str:
    alice.upload(recording)
    return next(iter(alice.links().values()))


def test_the_page_holds_a_player_with_the_link(alice: Visitor, link: str) -> None:
    assert f'<audio controls preload="metadata" src="{link}"' in alice.get("/").text


def test_a_link_plays_without_a_session(alice: Visitor, link: str, recording: bytes) -> None:
    answer = Visitor(alice.port).get(link)
    assert (answer.status, answer.body) == (200, recording)
    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Length"] == str(len(recording))


def test_the_app_adds_nothing_to_the_safer_headers_of_a_link(alice: Visitor, link: str) -> None:
    headers = alice.get(link).headers
    assert headers.get_all("Content-Security-Policy") == ["default-src 'none'; sandbox"]
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert headers.get_all("Cache-Control") == ["private, max-age=31536000, immutable"]


def test_seeking_gets_the_part_that_was_asked_for(alice: Visitor, link: str, recording: bytes) -> None:
    answer = alice.get(link, Range="bytes=1000-1999")
    assert (answer.status, answer.body) == (206, recording[1000:2000])
    assert answer.headers["Content-Range"] == f"bytes 1000-1999/{len(recording)}"
    assert alice.get(link, Range="bytes=-500").body == recording[-500:]
    beyond = alice.get(link, Range=f"bytes={len(recording)}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(recording)}")


def test_head_tells_the_length_and_sends_nothing(alice: Visitor, link: str, recording: bytes) -> None:
    answer = alice.send("HEAD", link)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(recording))


def test_what_the_browser_has_is_not_sent_again(alice: Visitor, link: str) -> None:
    etag = alice.send("HEAD", link).headers["ETag"]
    answer = alice.get(link, If_None_Match=etag)
    assert (answer.status, answer.body) == (304, b"")


def test_a_download_bears_the_original_name(alice: Visitor, recording: bytes) -> None:
    name = "Chapitre Ⅱ «été» 朗読.wav"
    alice.upload(recording, name)
    (take_id,) = alice.links()
    answer = alice.get(f"/takes/{take_id}/download")
    assert answer.status == 302
    saved = Visitor(alice.port).get(answer.headers["Location"])
    assert saved.body == recording
    disposition = saved.headers["Content-Disposition"]
    assert disposition.startswith("attachment; ")
    assert disposition.endswith(f"filename*=UTF-8''{quote(name)}")


def test_a_forged_link_is_refused(alice: Visitor, link: str) -> None:
    other_end = "A" if link[-2] != "A" else "B"
    for forged in (link[:-2] + other_end + link[-1], link[:-10], "/audio/v1.x.y", "/audio/" + "9" * 9000):
        assert alice.get(forged).status == 403


def test_a_link_ends_with_its_time_and_the_page_has_a_new_one(
    alice: Visitor, link: str, clock: Clock, recording: bytes
) -> None:
    clock.now += timedelta(hours=1).total_seconds()
    late = alice.get(link)
    assert (late.status, late.text) == (403, "link expired")
    assert alice.get(next(iter(alice.links().values()))).body == recording


def test_links_asked_for_in_half_time_are_new_and_outlive_the_next_time(
    alice: Visitor, link: str, clock: Clock, recording: bytes
) -> None:
    half = timedelta(minutes=30).total_seconds()
    clock.now += half
    (fresh,) = alice.links().values()
    assert fresh != link
    clock.now += half
    assert alice.get(fresh).body == recording


class WatchedBackend(LocalBackend):
    """Tells when a body that it opened was let go of."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read_begun, self.let_go = threading.Event(), threading.Event()

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        stream = super().read(key, start, end)
        self.read_begun.set()

        def close() -> None:
            stream.close()
            self.let_go.set()

        return ByteStream(stream, stream.length, close)


@pytest.fixture
def watched(tmp_path: Path) -> Generator[WatchedBackend]:
    backend = WatchedBackend(tmp_path / "watched")
    yield backend
    backend.close()


def test_a_listener_who_leaves_keeps_no_file_open(watched: WatchedBackend) -> None:
    with AudioStore(watched, MemoryCatalog(), secret="a secret of some length") as store, running(store) as site:
        take = store.put(b"RIFF\0\0\0\0WAVE" + bytes(40_000_000), owner="alice")
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
            connection.sendall(f"GET {store.url(take)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
            assert watched.read_begun.is_set()
            assert not watched.let_go.is_set()
        assert watched.let_go.wait(20)
