"""Who acts: a key, a client of supabase-py, or a user whose JWT stands in for either of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from audiostore import ConfigurationError
from audiostore.backends.supabase import SupabaseBackend
from audiostore.errors import NotFound, PermissionDenied, Unavailable
from audiostore.keys import Key
from audiostore.testing.supabase.blobs import Blob
from supabase import AsyncClient, AsyncClientOptions, Client, ClientOptions, acreate_client, create_client
from tests.supabase.project import BUCKET, KIB, QUICK, Served

FOREIGN, OWN = Key("bob/take.wav"), Key("alice/take.wav")
WAYS = ("url and key", "client", "async client")


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as http:
        yield http


def client(project: Served, http: httpx.Client, key: str) -> Client:
    return create_client(project.url, key, ClientOptions(httpx_client=http))


def async_client(project: Served, key: str) -> AsyncClient:
    async def make() -> AsyncClient:
        async with httpx.AsyncClient() as http:
            return await acreate_client(project.url, key, AsyncClientOptions(httpx_client=http))

    return anyio.run(make)


def backend_by(way: str, project: Served, http: httpx.Client, key: str, **options: Any) -> SupabaseBackend:
    if way == "url and key":
        return project.backend(key=key, **options)
    made = client(project, http, key) if way == "client" else async_client(project, key)
    return SupabaseBackend(client=made, bucket=BUCKET, timeouts=QUICK, tus_threshold=128 * KIB, **options)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_in_reads_and_writes(project: Served, http: httpx.Client, way: str) -> None:
    with closing(backend_by(way, project, http, project.fake.service_key)) as backend:
        for size in (4, 300 * KIB):
            key = Key(f"alice/{size}.wav")
            assert backend.write(key, project.stage(bytes(size))).size == size
            with backend.read(key) as stream:
                assert sum(len(chunk) for chunk in stream) == size


@pytest.mark.parametrize("way", WAYS)
def test_a_users_token_acts_instead_of_the_key(project: Served, http: httpx.Client, way: str) -> None:
    with closing(project.backend()) as service:
        service.write(FOREIGN, project.stage(b"bob's"))
    token = project.fake.user_token("alice")
    # Even over a client that has the service key: then the key only opens the gateway's door.
    with closing(backend_by(way, project, http, project.fake.service_key, token=token)) as alice:
        for size in (4, 300 * KIB):
            assert alice.write(Key(f"alice/{size}.wav"), project.stage(bytes(size))).size == size
            with pytest.raises(PermissionDenied):
                alice.write(Key(f"bob/{size}.wav"), project.stage(bytes(size)))
        alice.copy(Key("alice/4.wav"), OWN)
        with pytest.raises(PermissionDenied):
            alice.copy(OWN, Key("bob/other.wav"))
        for act in (alice.stat, alice.read, alice.open):
            with pytest.raises(NotFound):
                act(FOREIGN)
        with pytest.raises(NotFound):
            alice.move(FOREIGN, Key("alice/stolen.wav"))
        assert not alice.exists(FOREIGN)
        assert alice.delete([FOREIGN, OWN]) == {OWN}
        assert alice.delete_prefix("bob") == 0
        assert set(alice.sign([FOREIGN, Key("alice/4.wav")], expires=timedelta(hours=1))) == {"alice/4.wav"}
        assert [each.key for each in alice.list()] == ["alice/307200.wav", "alice/4.wav"]
    assert project.bytes_of(FOREIGN) == b"bob's"


def test_whoever_signs_in_to_the_client_acts_from_then_on(project: Served, http: httpx.Client) -> None:
    app = client(project, http, project.fake.anon_key)
    with closing(SupabaseBackend(client=app, bucket=BUCKET, timeouts=QUICK)) as backend:
        with pytest.raises(PermissionDenied):
            backend.write(OWN, project.stage(b"nobody's"))
        app.options.headers["Authorization"] = f"Bearer {project.fake.user_token('alice')}"
        assert backend.write(OWN, project.stage(b"alice's")).size == 7


def test_a_token_that_ends_in_the_middle_of_an_upload_is_told_as_expired(project: Served) -> None:
    token = project.fake.user_token("alice", expires_in=timedelta(minutes=1))

    def progress(done: int, resume: str | None) -> None:
        if done == 64 * KIB:
            project.fake.now = project.fake.now + timedelta(hours=1)

    with (
        project.backend(key=project.fake.anon_key, token=token) as alice,
        pytest.raises(PermissionDenied, match="expired"),
    ):
        alice.write(OWN, project.stage(bytes(300 * KIB)), progress=progress)
    assert project.keys() == []


def test_there_is_and_there_is_not_and_nobody_can_tell(project: Served, backend: SupabaseBackend) -> None:
    backend.write(OWN, project.stage(b"take"))
    assert backend.exists(OWN)
    assert not backend.exists(FOREIGN)
    assert not backend.exists(Key("alice"))
    expired = project.fake.user_token("alice", expires_in=timedelta(hours=-1))
    with closing(project.backend(token=expired)) as denied, pytest.raises(PermissionDenied, match="expired"):
        denied.exists(OWN)
    with (
        closing(SupabaseBackend(project.url, project.fake.service_key, "none", timeouts=QUICK)) as misled,
        pytest.raises(ConfigurationError, match="none"),
    ):
        misled.exists(OWN)
    faults: tuple[dict[str, Any], ...] = ({"status": 500}, {"malformed": True}, {"lose_response": True})
    for broken in faults:
        project.fake.fail_next("*", times=99, **broken)
        with pytest.raises(Unavailable):
            backend.exists(OWN)
        project.fake._faults.clear()
    assert backend.exists(OWN)


def test_a_folder_is_deleted_and_nothing_beside_it(project: Served, backend: SupabaseBackend) -> None:
    for path in ("alice/p1/a", "alice/p1/b/c", "alice/p10/d", "alice/p1.wav"):
        backend.write(Key(path), project.stage(b"x"))
    assert backend.delete_prefix("alice/p1") == 2
    assert backend.delete_prefix("alice/p1") == 0
    assert project.keys() == ["alice/p1.wav", "alice/p10/d"]
    for everything in ("", "/", ".", ".."):
        with pytest.raises(ValueError, match="invalid key"):
            backend.delete_prefix(everything)
    assert len(project.keys()) == 2


def test_a_deletion_that_breaks_off_is_finished_by_another(project: Served, backend: SupabaseBackend) -> None:
    seed(project, 2500)
    project.fake.fail_next("DELETE *", lose_response=True)
    with pytest.raises(Unavailable) as broken:
        backend.delete_prefix("p")
    assert broken.value.retryable
    assert len(project.keys()) == 1500
    assert backend.delete_prefix("p") == 1500
    assert project.keys() == []


@pytest.mark.parametrize("count", [999, 1000, 1001, 1500, 1501, 2500])
def test_any_number_of_objects_is_listed_signed_and_deleted(
    project: Served, backend: SupabaseBackend, count: int
) -> None:
    keys = seed(project, count)
    project.fake.requests.clear()
    assert [each.key for each in backend.list()] == keys
    assert project.seen("POST", "/object/list-v2") == -(-count // 1000)
    assert list(backend.sign(keys, expires=timedelta(hours=1))) == keys
    assert backend.delete(keys) == set(keys)
    assert project.seen("DELETE") == -(-count // 1000)
    assert project.keys() == []


def test_a_file_is_opened_sought_in_and_read(project: Served, backend: SupabaseBackend) -> None:
    sound = bytes(range(256)) * 4096
    backend.write(OWN, project.stage(sound))
    with backend.open(OWN) as file:
        file.seek(-1000, 2)
        assert file.read() == sound[-1000:]
        file.seek(300_001)
        assert file.read(10) == sound[300_001:300_011]


def test_a_backend_is_closed_at_the_end_of_a_block_and_opens_again(project: Served) -> None:
    with project.backend() as backend:
        backend.write(OWN, project.stage(b"take"))
    assert backend.stat(OWN).size == 4
    backend.close()
    backend.close()


def seed(project: Served, count: int) -> list[Key]:
    """Put many objects where they are kept: one request for each would take minutes."""
    state = project.fake._project
    for number in range(count):
        state.store(
            bucket=BUCKET,
            name=f"p/{number:05}.wav",
            owner="",
            blob=Blob([b"x"]),
            content_type="audio/wav",
            cache_control="no-cache",
            user_metadata={},
        )
    there = project.keys()
    return [Key(name) for name in there]
