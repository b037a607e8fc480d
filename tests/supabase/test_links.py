"""Links, grants, the bucket, and a store on top of it all."""

from __future__ import annotations

import warnings
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from audiostore import AudioStore, ConfigurationError
from audiostore.backends.supabase import SupabaseBackend
from audiostore.errors import AlreadyExists, NotFound, PermissionDenied
from audiostore.keys import Key
from tests.supabase.project import Served

HOUR = timedelta(hours=1)


def environment(project: Served, tmp_path: Path, backend: str) -> dict[str, str]:
    return {
        "STORAGE_BACKEND": backend,
        "UPLOAD_FOLDER": str(tmp_path / "uploads"),
        "SUPABASE_URL": project.url,
        "SUPABASE_SERVICE_KEY": project.fake.service_key,
        "AUDIOSTORE_SECRET": "a secret of the tests which is long enough",
    }


def test_a_link_plays_without_a_key_and_saves_under_a_name(project: Served, backend: SupabaseBackend) -> None:
    key = Key("alice/a b & (1)+?.wav".replace("?", ""))
    backend.write(key, project.stage(b"take"))
    link = backend.sign([key], expires=HOUR, download_as="Ünïcode 'n\" more.wav")[key]
    answer = httpx.get(link)
    assert answer.content == b"take"
    assert quote("Ünïcode", safe="") in answer.headers["content-disposition"]
    assert abs(link.expires_at - datetime.now(UTC) - HOUR) < timedelta(seconds=5)


def test_a_whole_book_is_signed_in_few_requests(project: Served, backend: SupabaseBackend) -> None:
    keys = [Key(f"alice/{n}.wav") for n in range(7)]
    for key in keys:
        backend.write(key, project.stage(b"x"))
    project.fake.requests.clear()
    asked = [*keys, *keys, *(Key(f"missing/{n}.wav") for n in range(600))]
    assert set(backend.sign(asked, expires=HOUR)) == set(keys)
    assert len(project.fake.requests) == 2
    assert backend.sign([], expires=HOUR) == {}


def test_a_browser_uploads_with_a_grant(project: Served, backend: SupabaseBackend) -> None:
    key = Key("alice/direct.wav")
    grant = backend.sign_upload(key, size=4, content_type="audio/wav", expires=HOUR, reservation="r1")
    answer = httpx.request(grant.method, grant.url, headers=dict(grant.headers), content=b"take")
    assert answer.status_code == 200, answer.text
    assert project.bytes_of(key) == b"take"
    assert backend.stat(key).content_type == "audio/wav"
    assert grant.expires_at <= datetime.now(UTC) + HOUR
    with pytest.raises(AlreadyExists):
        backend.sign_upload(key, size=4, content_type="audio/wav", expires=HOUR, reservation="r2")


def test_objects_bear_their_type_and_cache_control(project: Served, backend: SupabaseBackend) -> None:
    key = Key("alice/take.wav")
    backend.write(key, project.stage(b"take"))
    answer = httpx.get(backend.sign([key], expires=HOUR)[key])
    assert answer.headers["content-type"] == "audio/wav"
    uploaded = [each for each in project.fake.requests if each.method == "POST" and each.path.endswith("take.wav")]
    assert uploaded[0].headers["cache-control"] == "max-age=31536000, immutable"
    assert "content-length" in uploaded[0].headers
    assert "transfer-encoding" not in uploaded[0].headers


def test_the_bucket_is_made_once_and_then_compared(project: Served) -> None:
    with closing(SupabaseBackend(project.url, project.fake.service_key, "takes")) as backend:
        planned = backend.ensure_bucket(max_file_size="50 MB", change=False)
        assert (planned.existed, planned.created) == (False, False)
        made = backend.ensure_bucket(max_file_size="50 MB")
        assert (made.created, made.ok) == (True, True)
        again = backend.ensure_bucket(max_file_size="50 MB")
        assert (again.existed, again.created, again.differences) == (True, False, {})
        other = backend.ensure_bucket(max_file_size="5 MB")
        assert other.differences == {"file_size_limit": (50 * 2**20, 5 * 2**20)}
    with closing(SupabaseBackend(project.url, project.fake.anon_key, "new")) as anyone, pytest.raises(PermissionDenied):
        anyone.ensure_bucket()


def test_the_environment_makes_a_store_on_supabase(project: Served, tmp_path: Path) -> None:
    env = environment(project, tmp_path, "supabase")
    with AudioStore.from_env(env) as store:
        file = store.put(b"RIFF take", owner="alice", project="p1", chapter=1, section=2, filename="t.wav")
        assert file.backend == "supabase"
        assert store.get(file) == b"RIFF take"
        assert httpx.get(store.url(file)).content == b"RIFF take"
    with AudioStore.from_env({**env, "STORAGE_BACKEND": "local"}) as store:
        assert store.get(file) == b"RIFF take"
        here = store.put(b"here", owner="alice")
        assert here.backend == "local"
    with AudioStore.from_env(env) as store:
        assert store.get(here) == b"here"
        store.delete(file)
        with pytest.raises(NotFound):
            store.url(file)
    assert project.keys() == []


def test_links_to_a_chapter_are_all_there_or_the_missing_one_is_named(project: Served, tmp_path: Path) -> None:
    with AudioStore.from_env(environment(project, tmp_path, "supabase")) as store:
        files = [store.put(b"x", owner="alice") for _ in range(3)]
        with closing(project.backend()) as behind:
            behind.delete([files[1].key])  # behind the store's back
        with pytest.raises(NotFound, match=files[1].key):
            store.urls(files)
        store.delete(files[1])
        with pytest.raises(NotFound, match=files[1].id):
            store.urls(files)
        assert len(store.urls(list(store.list(owner="alice")))) == 2


def test_without_a_secret_only_local_links_are_refused(project: Served, tmp_path: Path) -> None:
    env = environment(project, tmp_path, "local")
    with AudioStore.from_env(env) as store:
        here = store.put(b"here", owner="alice")
    del env["AUDIOSTORE_SECRET"]
    with AudioStore.from_env({**env, "STORAGE_BACKEND": "supabase"}) as store:
        assert store.url(store.put(b"there", owner="alice")).startswith(project.url)
        with pytest.raises(ConfigurationError, match="AUDIOSTORE_SECRET"):
            store.url(here)


def test_equal_links_within_a_window_are_the_same_and_cost_one_request(project: Served, tmp_path: Path) -> None:
    now = 1_800_000_000.0
    env = environment(project, tmp_path, "supabase")
    with AudioStore.from_env(env, clock=lambda: now) as store:
        files = [store.put(b"x", owner="alice") for _ in range(3)]
        first = store.urls(files[:2])
        project.fake.requests.clear()
        assert store.urls(files)[:2] == first
        assert store.urls(files)[:2] == first
        assert project.seen("POST", "/object/sign/") == 1
        assert store.url(files[0], download_as="a.wav") != first[0]
        assert project.seen("POST", "/object/sign/") == 2
        now += 16 * 60
        store.urls(files)
        assert project.seen("POST", "/object/sign/") == 3


def test_a_clients_headers_are_read_at_each_call(project: Served) -> None:
    class Options:
        headers: dict[str, str]

    class Client:
        storage_url = f"{project.url}/storage/v1/"
        rest_url = f"{project.url}/rest/v1/"
        options = Options()

    client = Client()
    token = f"Bearer {project.fake.service_key}"
    client.options.headers = {"apiKey": project.fake.anon_key, "Authorization": token}
    with AudioStore.from_supabase(client) as store:
        file = store.put(b"take", owner="alice")
        assert store.get(file) == b"take"
        client.options.headers["Authorization"] = f"Bearer {project.fake.user_token('bob')}"
        with pytest.raises(NotFound):
            store.backend.stat(file.key)
        with pytest.raises(ConfigurationError, match="service key"):
            store.get(file)


def test_a_real_client_is_taken_as_it_is(project: Served) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        supabase = pytest.importorskip("supabase")
        client = supabase.create_client(project.url, project.fake.service_key)
    with AudioStore.from_supabase(client) as store:
        assert store.get(store.put(b"take", owner="alice")) == b"take"


def test_anything_else_is_no_client() -> None:
    with pytest.raises(ConfigurationError, match=r"supabase\.Client"):
        SupabaseBackend(client=object())
