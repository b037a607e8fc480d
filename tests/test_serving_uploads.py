"""Direct uploads to links that the app serves: no more than was granted, all or nothing, once."""

from __future__ import annotations

import io
import socket
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audiostore import AudioStore, FixedQuota, NotFound, Reply, StorageFull, UploadGrant, serve
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.errors import ReservationExpired, Unavailable
from audiostore.keys import Key
from audiostore.models import ObjectStat, Staged
from audiostore.protocols import Progress
from tests.http_host import Host, fetch, hosted

SOUND = b"RIFF" + bytes(range(256)) * 40
SIZE = len(SOUND)
SECRET = "a secret only for tests"


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Generator[AudioStore]:
    quota = FixedQuota(total="1 MB", per_file="1 MB")
    with AudioStore.local(tmp_path / "uploads", secret=SECRET, quota=quota, clock=clock) as made:
        yield made


@pytest.fixture
def host(store: AudioStore) -> Generator[Host]:
    with hosted(store) as running:
        yield running
    assert running.errors == []


@pytest.fixture
def grant(store: AudioStore) -> UploadGrant:
    return store.begin_upload(owner="alice", size=SIZE, filename="Lección 1.wav", project="p1")


def kept(root: Path) -> list[Path]:
    """Every file below the root that is neither the catalog's nor the secret: objects, and what staging left."""
    own = root / "uploads" / ".audiostore"
    return [path for path in root.rglob("*") if path.is_file() and path.parent != own]


class TestUploading:
    def test_begin_put_finish(self, store: AudioStore, host: Host, grant: UploadGrant) -> None:
        answer = fetch(host, grant.url, grant.method, grant.headers, SOUND)
        assert (answer.status, answer.body) == (201, b"")
        take = store.finish_upload(grant)
        assert (take.filename, take.size, take.content_type) == ("Lección 1.wav", SIZE, "audio/wav")
        assert fetch(host, store.url(take)).body == SOUND
        assert store.usage("alice").used == SIZE

    def test_chunks_of_unknown_length_may_come(self, store: AudioStore, host: Host, grant: UploadGrant) -> None:
        pieces = (SOUND[at : at + 1000] for at in range(0, SIZE, 1000))
        assert fetch(host, grant.url, "PUT", body=pieces).status == 201
        assert store.finish_upload(grant).size == SIZE

    def test_less_than_was_granted_is_charged_as_what_it_is(
        self, store: AudioStore, host: Host, grant: UploadGrant
    ) -> None:
        assert fetch(host, grant.url, "PUT", body=SOUND[:100]).status == 201
        store.finish_upload(grant)
        usage = store.usage("alice")
        assert (usage.used, usage.reserved) == (100, 0)

    def test_a_second_upload_is_told_that_it_is_late(self, store: AudioStore, host: Host, grant: UploadGrant) -> None:
        assert [fetch(host, grant.url, "PUT", body=SOUND).status for _ in range(2)] == [201, 409]
        take = store.finish_upload(grant)
        assert fetch(host, grant.url, "PUT", body=b"x" * SIZE).status == 409
        assert store.get(take) == SOUND

    @pytest.mark.parametrize("sent", ["audio/wav", "Audio/WAV; codecs=1", "audio/x-wav"])
    def test_the_granted_type_may_be_written_in_its_other_forms(
        self, host: Host, grant: UploadGrant, sent: str
    ) -> None:
        assert fetch(host, grant.url, "PUT", {"Content-Type": sent}, SOUND).status == 201


class TestRefusing:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Content-Length": str(SIZE + 1)}, 413),
            ({"Content-Length": "9" * 19}, 413),
            ({"Content-Length": "9" * 5000}, 400),
            ({"Content-Length": "0"}, 400),
            ({"Content-Length": "-1"}, 400),
            ({"Content-Length": "1e3"}, 400),
            ({"Content-Length": "\u0661"}, 400),
            ({"Content-Length": "5, 5"}, 400),
            ({"Content-Length": ""}, 400),
            ({"Content-Range": "bytes 0-1/2"}, 400),
            ({"Content-Type": "text/html"}, 415),
            ({"Content-Type": "audio/mpeg"}, 415),
            ({"Content-Type": "nonsense"}, 415),
            ({"Content-Encoding": "gzip"}, 415),
        ],
    )
    def test_what_the_headers_tell_is_refused_before_a_byte_is_read(
        self, store: AudioStore, grant: UploadGrant, headers: dict[str, str], status: int
    ) -> None:
        with put(store, grant, Never(), headers) as reply:
            assert reply.status == status

    def test_an_announced_giant_is_refused_over_a_socket(self, host: Host, grant: UploadGrant) -> None:
        with socket.create_connection(("127.0.0.1", host.server_port), timeout=30) as wire:
            wire.sendall(f"PUT {grant.url} HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE + 1}\r\n\r\n".encode())
            assert wire.recv(100).startswith(b"HTTP/1.1 413 ")

    def test_a_giant_that_is_not_announced_is_refused_and_leaves_nothing(
        self, store: AudioStore, host: Host, grant: UploadGrant, tmp_path: Path
    ) -> None:
        answer = fetch(host, grant.url, "PUT", body=iter([SOUND, b"x"]))
        assert (answer.status, answer.text) == (413, "too large")
        assert kept(tmp_path) == []
        assert fetch(host, grant.url, "PUT", body=SOUND).status == 201, "the grant is as good as before"

    def test_no_more_is_read_than_one_byte_above_the_grant(self, store: AudioStore, grant: UploadGrant) -> None:
        endless = Endless()
        with put(store, grant, endless) as reply:
            assert reply.status == 413
        assert endless.read_in_all == SIZE + 1

    def test_no_more_is_read_than_was_announced(self, store: AudioStore, grant: UploadGrant) -> None:
        endless = Endless()
        with put(store, grant, endless, {"Content-Length": "100"}) as reply:
            assert reply.status == 201
        assert endless.read_in_all == 100

    def test_chunks_beyond_the_grant_are_not_asked_for(self, store: AudioStore, grant: UploadGrant) -> None:
        chunks = iter([SOUND[:-1], b"xx", b"never asked for"])
        with put(store, grant, chunks) as reply:
            assert reply.status == 413
        assert list(chunks) == [b"never asked for"]

    def test_an_upload_without_a_body_is_refused(self, store: AudioStore, grant: UploadGrant) -> None:
        token = grant.url.rpartition("/")[2]
        assert serve(store, token, "PUT", {"Content-Length": str(SIZE)}).status == 503
        assert serve(store, token, "PUT", {"Content-Length": str(SIZE)}, SOUND).status == 201

    def test_a_grant_expires(self, store: AudioStore, host: Host, clock: Clock) -> None:
        grant = store.begin_upload(owner="alice", size=SIZE, filename="a.wav", expires=timedelta(minutes=5))
        clock.now += 301
        answer = fetch(host, grant.url, "PUT", body=SOUND)
        assert (answer.status, answer.text) == (403, "link expired")

    def test_room_that_was_given_back_takes_no_upload(self, store: AudioStore, host: Host, grant: UploadGrant) -> None:
        store.catalog.release(grant.reservation)
        assert fetch(host, grant.url, "PUT", body=SOUND).status == 410
        with pytest.raises(ReservationExpired):
            store.finish_upload(grant)

    def test_a_grant_of_another_store_takes_no_upload(self, grant: UploadGrant) -> None:
        other = AudioStore(MemoryBackend(), MemoryCatalog(), secret=SECRET)
        assert put(other, grant, SOUND).status == 404


class TestBreakingOff:
    def test_a_client_that_drops_midway_leaves_nothing(
        self, store: AudioStore, host: Host, grant: UploadGrant, tmp_path: Path
    ) -> None:
        with socket.create_connection(("127.0.0.1", host.server_port), timeout=30) as wire:
            wire.sendall(f"PUT {grant.url} HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n".encode())
            wire.sendall(SOUND[:5000])
        assert host.answered.acquire(timeout=30)
        assert kept(tmp_path) == []
        with pytest.raises(NotFound):
            store.finish_upload(grant)
        assert fetch(host, grant.url, "PUT", body=SOUND).status == 201, "the grant is as good as before"
        assert store.get(store.finish_upload(grant)) == SOUND

    @pytest.mark.parametrize("fault", [ConnectionResetError(), TimeoutError(), OSError("wire")], ids=type)
    def test_a_wire_that_breaks_is_no_fault_of_the_disk(
        self, store: AudioStore, grant: UploadGrant, fault: OSError, tmp_path: Path
    ) -> None:
        with put(store, grant, breaking(fault)) as reply:
            assert reply.status == 503
        assert kept(tmp_path) == []

    def test_what_a_framework_raises_goes_through(self, store: AudioStore, grant: UploadGrant, tmp_path: Path) -> None:
        class ClientGoneError(Exception):
            pass

        with pytest.raises(ClientGoneError):
            put(store, grant, breaking(ClientGoneError()))
        assert kept(tmp_path) == []

    @pytest.mark.parametrize(("fault", "status"), [(StorageFull("/disk"), 507), (Unavailable("/disk"), 503)], ids=str)
    def test_storage_that_refuses_is_told_without_its_secrets(self, fault: Exception, status: int) -> None:
        class Refusing(MemoryBackend):
            def write(
                self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
            ) -> ObjectStat:
                raise fault

        store = AudioStore(Refusing(), MemoryCatalog(), secret=SECRET)
        grant = store.begin_upload(owner="alice", size=SIZE, filename="a.wav")
        with put(store, grant, io.BytesIO(SOUND)) as reply:
            assert reply.status == status
            assert b"disk" not in b"".join(reply.body)


def put(
    store: AudioStore,
    grant: UploadGrant,
    body: bytes | io.RawIOBase | io.BytesIO | Iterator[bytes],
    headers: dict[str, str] | None = None,
) -> Reply:
    return serve(store, grant.url.rpartition("/")[2], "PUT", headers or {}, body)


def breaking(fault: Exception) -> Iterator[bytes]:
    yield SOUND[:100]
    raise fault


class Never(io.RawIOBase):
    def read(self, size: int = -1, /) -> bytes:
        raise AssertionError("the body was read")


class Endless(io.RawIOBase):
    read_in_all = 0

    def read(self, size: int = -1, /) -> bytes:
        assert size > 0
        self.read_in_all += size
        return b"x" * size
