"""What can be made to go wrong, and that it goes wrong once, on its route, by every door."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import requests

from audiostore.testing.supabase import FakeSupabase
from audiostore.testing.supabase.blobs import Blob

CONTENT = b"0123456789" * 1000


@pytest.fixture(params=["in process", "served"])
def http(request: pytest.FixtureRequest, fake: FakeSupabase) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {fake.service_key}", "content-type": "audio/mpeg"}
    with fake.serve() as server:
        url = fake.url if request.param == "in process" else server.url
        with httpx.Client(base_url=f"{url}/storage/v1", headers=headers) as client:
            yield client


def put(http: httpx.Client, key: str = "a.mp3") -> httpx.Response:
    return http.post(f"/object/takes/{key}", content=CONTENT)


def test_a_burst_of_refusals_befalls_its_route_only(http: httpx.Client, fake: FakeSupabase) -> None:
    fake.fail_next("POST /object/takes/*", status=503, error="Busy", times=2)
    assert http.get("/bucket/takes").status_code == 200
    assert [put(http).status_code for _ in range(3)] == [503, 503, 200]


def test_too_many_requests_tells_when_to_come_back(http: httpx.Client, fake: FakeSupabase) -> None:
    fake.fail_next(retry_after=timedelta(seconds=7))
    answer = put(http)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert fake.keys("takes") == []


def test_a_request_cut_off_leaves_nothing(http: httpx.Client, fake: FakeSupabase) -> None:
    fake.fail_next("POST *", cut_request_after=5000)
    with pytest.raises(httpx.TransportError):
        put(http)
    assert fake.keys("takes") == []


def test_a_lost_answer_was_done(http: httpx.Client, fake: FakeSupabase) -> None:
    fake.fail_next("POST *", lose_response=True)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        put(http)
    assert fake.read("takes", "a.mp3") == CONTENT


def test_an_answer_breaks_off_where_it_should(http: httpx.Client, fake: FakeSupabase) -> None:
    put(http)
    fake.fail_next("GET *", cut_response_after=5000)
    received: list[bytes] = []
    with http.stream("GET", "/object/takes/a.mp3") as answer, pytest.raises(httpx.TransportError):
        received.extend(answer.iter_raw())
    assert b"".join(received) == CONTENT[:5000]


def test_malformed_json_is_no_json(http: httpx.Client, fake: FakeSupabase) -> None:
    fake.fail_next(malformed=True)
    with pytest.raises(ValueError, match="Unterminated string"):
        put(http).json()
    assert fake.keys("takes") == ["a.mp3"]


def test_a_drip_and_a_delay_take_their_time(http: httpx.Client, fake: FakeSupabase) -> None:
    put(http)
    faults: tuple[dict[str, Any], ...] = ({"drip": timedelta(milliseconds=5)}, {"latency": timedelta(milliseconds=50)})
    for fault in faults:
        fake.fail_next("GET *", **fault)
        began = time.monotonic()
        assert http.get("/object/takes/a.mp3").content == CONTENT
        assert time.monotonic() - began >= 0.045


def test_an_interrupted_part_is_kept(http: httpx.Client, fake: FakeSupabase) -> None:
    packed = [base64.b64encode(each).decode() for each in (b"takes", b"a.mp3")]
    described = {"upload-metadata": f"bucketName {packed[0]},objectName {packed[1]}", "tus-resumable": "1.0.0"}
    made = http.post("/upload/resumable", headers={**described, "upload-length": str(len(CONTENT))})
    part = {"tus-resumable": "1.0.0", "upload-offset": "0", "content-type": "application/offset+octet-stream"}
    fake.fail_next("PATCH /upload/resumable/*", cut_request_after=4000)
    with pytest.raises(httpx.TransportError):
        http.patch(made.headers["location"], content=CONTENT, headers=part)
    seen = http.head(made.headers["location"], headers={"tus-resumable": "1.0.0"})
    assert seen.headers["upload-offset"] == "4000"
    http.patch(made.headers["location"], content=CONTENT[4000:], headers={**part, "upload-offset": "4000"})
    assert fake.read("takes", "a.mp3") == CONTENT


def test_requests_meets_the_same_faults(fake: FakeSupabase) -> None:
    url, headers = f"{fake.url}/storage/v1/object/takes/a.mp3", {"authorization": fake.service_key}
    faults: tuple[dict[str, Any], ...] = ({"lose_response": True}, {"cut_response_after": 3}, {"cut_request_after": 3})
    for fault in faults:
        fake.fail_next("POST *", **fault)
        # What requests calls an answer that breaks off, and everything else.
        broken = "ChunkedEncodingError" if "cut_response_after" in fault else "ConnectionError"
        with pytest.raises(getattr(requests.exceptions, broken)):
            requests.post(url, data=CONTENT, headers=headers, timeout=5)
        fake.reset()
        fake.create_bucket("takes")
    fake.fail_next(status=500)
    assert requests.get(url, headers=headers, timeout=5).status_code == 500


def test_a_fault_must_be_named(fake: FakeSupabase) -> None:
    with pytest.raises(ValueError, match="name what is to go wrong"):
        fake.fail_next("GET *")


def test_requests_gets_an_answer_as_it_takes_it(fake: FakeSupabase) -> None:
    url, headers = f"{fake.url}/storage/v1/object/takes/a.mp3", {"authorization": fake.service_key}
    requests.post(url, data=CONTENT * 100, headers=headers, timeout=5)
    fake.fail_next("GET *", cut_response_after=500_000)
    received: list[bytes] = []
    with requests.get(url, headers=headers, timeout=5, stream=True) as answer:
        assert answer.status_code == 200
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            received.extend(answer.iter_content(10_000))
    assert 400_000 < sum(len(piece) for piece in received) <= 500_000


def test_a_page_can_read_what_went_wrong(http: httpx.Client, fake: FakeSupabase) -> None:
    faults: tuple[dict[str, Any], ...] = ({"status": 503}, {"retry_after": timedelta(1)}, {"malformed": True})
    for fault in faults:
        fake.fail_next(**fault)
        assert put(http).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("takeover", [timedelta(0), timedelta(milliseconds=300)])
def test_who_asks_for_an_upload_takes_it_over_from_who_is_sending(
    fake: FakeSupabase, takeover: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.takeover = takeover
    packed = [base64.b64encode(each).decode() for each in (b"takes", b"a.mp3")]
    spoken = {"authorization": fake.service_key, "tus-resumable": "1.0.0"}
    described = {"upload-metadata": f"bucketName {packed[0]},objectName {packed[1]}", "upload-length": "1000"}
    part = {"upload-offset": "0", "content-type": "application/offset+octet-stream", "content-length": "1000"}
    half_way, asked = threading.Event(), threading.Event()
    append = Blob.append

    def appended(blob: Blob, piece: bytes) -> None:
        append(blob, piece)
        if blob.size == 400:
            half_way.set()  # it has come; that it was sent would not say so

    def slowly() -> Iterator[bytes]:
        yield bytes(400)
        asked.wait(10)
        yield bytes(600)

    monkeypatch.setattr(Blob, "append", appended)

    with fake.serve() as server, httpx.Client(base_url=f"{server.url}/storage/v1", headers=spoken) as http:
        upload = http.post("/upload/resumable", headers=described).headers["location"]
        sender = threading.Thread(target=lambda: _ignore(http, upload, slowly(), part))
        sender.start()
        assert half_way.wait(10)
        began = time.monotonic()
        seen = http.head(upload)
        assert time.monotonic() - began >= takeover.total_seconds()
        assert seen.headers["upload-offset"] == "400"
        asked.set()
        sender.join(10)
    assert fake.keys("takes") == []


def _ignore(http: httpx.Client, url: str, content: Iterator[bytes], headers: dict[str, str]) -> None:
    with contextlib.suppress(httpx.TransportError):  # its connection was ended, which is the point
        http.patch(url, content=content, headers=headers)
