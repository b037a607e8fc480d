"""A browser uploads in parts with a grant: asked as a TUS client asks, with nothing but what the grant has."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from audiostore import AudioStore, FixedQuota
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.errors import AlreadyExists, NotFound, QuotaExceeded
from audiostore.models import ResumableGrant, UploadGrant
from audiostore.testing.bench import differs_at
from tests.supabase.project import KIB, Served

SOUND = b"RIFF" + bytes(range(256)) * 1000
HOUR = timedelta(hours=1)
VERSION = {"Tus-Resumable": "1.0.0"}


@pytest.fixture
def store(project: Served) -> Iterator[AudioStore]:
    with AudioStore(project.backend(), MemoryCatalog(), quota=FixedQuota(total=len(SOUND) + 1000)) as store:
        yield store


class Browser:
    """What tus-js-client does with ``endpoint``, ``headers``, ``metadata`` and ``chunkSize``."""

    def __init__(self, grant: UploadGrant) -> None:
        assert grant.resumable
        self.grant: ResumableGrant = grant.resumable
        self.http = httpx.Client(headers={**VERSION, **self.grant.headers})
        self.upload = ""

    def begin(self, size: int, **changes: str) -> httpx.Response:
        facts = {**self.grant.metadata, **changes}
        told = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in facts.items())
        answer = self.http.post(self.grant.url, headers={"Upload-Length": str(size), "Upload-Metadata": told})
        self.upload = answer.headers.get("location", "")
        return answer

    def offset(self) -> int:
        return int(self.http.head(self.upload).headers["upload-offset"])

    def send(self, content: bytes) -> httpx.Response:
        start = self.offset()
        headers = {"Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"}
        part = content[start : start + self.grant.chunk_size]
        return self.http.patch(self.upload, headers=headers, content=part)


@pytest.fixture
def browsers() -> Iterator[list[Browser]]:
    opened: list[Browser] = []
    yield opened
    for each in opened:
        each.http.close()


def granted(store: AudioStore, browsers: list[Browser], size: int = len(SOUND)) -> tuple[UploadGrant, Browser]:
    grant = store.begin_upload(owner="alice", size=size, filename="take.wav", project="p1")
    browsers.append(Browser(grant))
    return grant, browsers[-1]


def test_a_browser_sends_a_file_in_parts_and_goes_on_after_a_break(
    project: Served, store: AudioStore, browsers: list[Browser]
) -> None:
    grant, browser = granted(store, browsers)
    assert browser.begin(len(SOUND)).status_code == 201
    with pytest.raises(NotFound):
        store.finish_upload(grant)
    project.fake.fail_next("PATCH *", cut_request_after=10 * KIB)
    with pytest.raises(httpx.TransportError):
        browser.send(SOUND)
    assert browser.offset() == 10 * KIB
    while browser.send(SOUND).headers.get("tus-complete") != "1":
        pass
    file = store.finish_upload(grant)
    assert (file.size, file.content_type, file.place.project) == (len(SOUND), "audio/wav", "p1")
    assert differs_at(store.get(file), SOUND) is None
    usage = store.usage("alice")
    assert (usage.used, usage.reserved) == (len(SOUND), 0)


def test_no_key_of_the_project_leaves_with_the_grant(
    project: Served, store: AudioStore, browsers: list[Browser]
) -> None:
    grant, browser = granted(store, browsers)
    browser.begin(len(SOUND))
    told = repr(
        [grant.url, dict(grant.headers), browser.grant.url, dict(browser.grant.headers), browser.grant.metadata]
    )
    assert project.fake.service_key not in told
    assert browser.grant.headers["x-signature"] not in repr(browser.grant)
    asked = [each for each in project.fake.requests if each.path.startswith("/upload/resumable")]
    assert asked
    assert [each for each in asked if "authorization" in each.headers or "apikey" in each.headers] == []


def test_a_grant_is_for_its_own_key_alone(project: Served, store: AudioStore, browsers: list[Browser]) -> None:
    _, browser = granted(store, browsers)
    for changes in ({"objectName": "alice/other.wav"}, {"bucketName": "other"}):
        assert browser.begin(10, **changes).status_code in {400, 404}
    browser.http.headers["x-signature"] = "forged"
    assert browser.begin(10).status_code == 400
    del browser.http.headers["x-signature"]
    assert browser.begin(10).status_code == 400
    assert project.keys() == []


def test_more_than_was_granted_is_charged_or_refused_in_the_end(
    project: Served, store: AudioStore, browsers: list[Browser]
) -> None:
    for size, kept in ((5000, 5000), (len(SOUND), None)):
        grant, browser = granted(store, browsers, size=10)
        browser.begin(size)
        while browser.send(SOUND[:size]).headers.get("tus-complete") != "1":
            pass
        if kept is None:
            with pytest.raises(QuotaExceeded):
                store.finish_upload(grant)
        else:
            assert store.finish_upload(grant).size == kept
    usage = store.usage("alice")
    assert (usage.used, usage.reserved, usage.files) == (5000, 0, 1)
    assert len(project.keys()) == 1


def test_a_grant_brings_an_object_once(store: AudioStore, browsers: list[Browser]) -> None:
    grant, browser = granted(store, browsers, size=4)
    browser.begin(4)
    browser.send(b"RIFF")
    assert browser.begin(4).status_code == 409
    assert httpx.put(grant.url, headers=dict(grant.headers), content=b"more").json()["statusCode"] == "409"
    file = store.finish_upload(grant)
    assert store.get(file) == b"RIFF"
    with pytest.raises(AlreadyExists):
        store.backend.sign_upload(file.key, size=4, content_type="audio/wav", expires=HOUR, reservation="r")


@pytest.mark.parametrize("way", ["write", "chunks", "grant", "parts"])
def test_every_way_in_gives_the_same_type_and_the_cache_control_that_the_server_lets_it(
    project: Served, browsers: list[Browser], tmp_path: Path, way: str
) -> None:
    with AudioStore(project.backend(tus_threshold=0 if way == "chunks" else "1 MB"), MemoryCatalog()) as store:
        if way in {"write", "chunks"}:
            file = store.put(SOUND, owner="alice", filename="take.wav")
        else:
            grant, browser = granted(store, browsers)
            if way == "grant":
                assert httpx.put(grant.url, headers=dict(grant.headers), content=SOUND).is_success
            else:
                browser.begin(len(SOUND))
                while browser.send(SOUND).headers.get("tus-complete") != "1":
                    pass
            file = store.finish_upload(grant)
        headers = {"authorization": f"Bearer {project.fake.service_key}"}
        told = httpx.get(f"{project.url}/storage/v1/object/info/audio-files/{file.key}", headers=headers).json()
    assert told["content_type"] == "audio/wav"
    # In parts the server takes a number of seconds and nothing beside it.
    whole = way in {"write", "grant"}
    assert told["cache_control"] == ("max-age=31536000, immutable" if whole else "max-age=31536000")


def test_a_server_takes_seconds_for_the_cache_and_nothing_beside_them(
    project: Served, store: AudioStore, browsers: list[Browser]
) -> None:
    grant, browser = granted(store, browsers, size=4)
    browser.begin(4, cacheControl="60, immutable")
    browser.send(b"RIFF")
    key = store.finish_upload(grant).key
    headers = {"authorization": f"Bearer {project.fake.service_key}"}
    told = httpx.get(f"{project.url}/storage/v1/object/info/audio-files/{key}", headers=headers).json()
    assert told["cache_control"] == "no-cache"
