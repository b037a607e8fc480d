"""Storage that is away, damaged or gone, between a link and its bytes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from audiostore import (
    AudioFile,
    AudioStore,
    ChecksumMismatch,
    Key,
    NotFound,
    PermissionDenied,
    Reply,
    Unavailable,
    serve,
)
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.signing import Link
from audiostore.streams import ByteStream

SOUND = b"RIFF" + bytes(range(256)) * 4096  # more than a chunk, so that bodies come in several
SECRET = "a secret only for tests"


class Broken(MemoryBackend):
    """Reads as it is told: ``fault`` is raised, or ``short`` bytes are missing at the end."""

    fault: Exception | None = None
    short = 0
    closed = 0

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        if self.fault is not None:
            raise self.fault
        inner = super().read(key, start, end)

        def close() -> None:
            self.closed += 1
            inner.close()

        return ByteStream(inner, inner.length - self.short, close)


class TestFaults:
    @pytest.fixture
    def backend(self) -> Broken:
        return Broken()

    @pytest.fixture
    def faulty(self, backend: Broken) -> AudioStore:
        return AudioStore(backend, MemoryCatalog(), secret=SECRET)

    def get(self, faulty: AudioStore, method: str = "GET") -> Reply:
        take = next(iter(faulty.list(owner="alice")), None) or faulty.put(SOUND, owner="alice")
        return serve(faulty, faulty.url(take).rpartition("/")[2], method)

    def test_bytes_that_vanish_after_the_look_up_are_not_found(self, faulty: AudioStore, backend: Broken) -> None:
        backend.fault = NotFound("x")
        assert self.get(faulty).status == 404

    def test_storage_that_is_away_asks_to_come_again(self, faulty: AudioStore, backend: Broken) -> None:
        backend.fault = Unavailable("/secret/folder")
        with self.get(faulty) as reply:
            assert (reply.status, reply.headers["Retry-After"], list(reply.body)) == (503, "5", [b"unavailable"])

    def test_what_the_operator_must_see_is_raised(self, faulty: AudioStore, backend: Broken) -> None:
        backend.fault = PermissionDenied("x")
        with pytest.raises(PermissionDenied):
            self.get(faulty)

    def test_an_object_shorter_than_its_record_is_no_reply(self, faulty: AudioStore, backend: Broken) -> None:
        backend.short = 1
        with pytest.raises(ChecksumMismatch) as raised:  # which keeps the frames alive, and all they hold
            self.get(faulty)
        assert backend.closed == 1, raised

    def test_an_object_that_is_missing_is_not_found_by_head_either(self, faulty: AudioStore, backend: Broken) -> None:
        assert self.get(faulty, "HEAD").status == 200
        backend.delete([stat.key for stat in backend.list()])
        assert self.get(faulty, "HEAD").status == 404

    def test_a_backend_that_was_taken_away_is_not_found(self, faulty: AudioStore) -> None:
        token = faulty.url(faulty.put(SOUND, owner="alice")).rpartition("/")[2]
        other = AudioStore(MemoryBackend(name="new"), faulty.catalog, secret=SECRET)
        assert serve(other, token).status == 404

    def test_a_link_binds_the_backend(self, backend: Broken) -> None:
        both = AudioStore(backend, MemoryCatalog(), backends=[MemoryBackend(name="second")], secret=SECRET)
        take, soon = both.put(SOUND, owner="alice"), both.signer.expiry(timedelta(hours=1))
        for name, status in ((backend.name, 200), ("second", 404)):
            token = both.signer.sign(Link(method="GET", backend=name, key=take.key, expires_at=soon))
            with serve(both, token) as reply:
                assert reply.status == status

    def test_a_reply_that_is_dropped_closes_what_it_read(self, faulty: AudioStore, backend: Broken) -> None:
        with self.get(faulty) as reply:
            next(reply.body)
            assert backend.closed == 0
        assert backend.closed == 1

    def test_nothing_is_read_for_a_client_that_has_it(self, faulty: AudioStore, backend: Broken) -> None:
        take = faulty.put(SOUND, owner="alice")
        backend.fault = AssertionError("read")
        token = faulty.url(take).rpartition("/")[2]
        assert serve(faulty, token, headers={"if-none-match": "*"}).status == 304
        assert serve(faulty, token, headers={"RANGE": "bytes=9999999-"}).status == 416
        assert serve(faulty, token, "HEAD").status == 200

    @pytest.mark.parametrize("kind", ["nonsense", "audio/x\r\nSet-Cookie: a=b", ""])
    def test_a_type_that_something_else_wrote_is_not_passed_on(self, backend: Broken, kind: str) -> None:
        class Legacy(MemoryCatalog):
            def find_key(self, key: Key, *, backend: str | None = None) -> AudioFile:
                return replace(super().find_key(key, backend=backend), content_type=kind)

        with self.get(AudioStore(backend, Legacy(), secret=SECRET)) as reply:
            assert reply.headers["Content-Type"] == "application/octet-stream"
            assert reply.headers["Content-Disposition"].startswith("attachment;")

    def test_a_catalog_that_is_away_asks_to_come_again(self, backend: Broken) -> None:
        class Away(MemoryCatalog):
            def find_key(self, key: Key, *, backend: str | None = None) -> AudioFile:
                raise Unavailable("catalog", retryable=True)

        assert self.get(AudioStore(backend, Away(), secret=SECRET)).status == 503
