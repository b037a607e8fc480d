"""A recording goes in: by the form, or straight from the browser to where it will live."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from audiostore import AudioStore
from tests.apps.running import ALICE, Site, Visitor, problem

PLACE = {"project_id": "p1", "chapter_id": "1", "section_id": "2"}
MB = 1024 * 1024


def nothing_is_left(store: AudioStore, owner: str = ALICE) -> bool:
    usage = store.usage(owner)
    return (usage.used, usage.reserved, usage.files) == (0, 0, 0) and store.audit().ok


@pytest.mark.everywhere
def test_a_recording_is_stored_counted_and_told_in_the_words_of_the_front_end(
    site: Site, alice: Visitor, recording: bytes
) -> None:
    told = alice.upload(recording, "Kapitel «1» 朗読.wav", **PLACE)
    (take,) = site.store.list(owner=ALICE)
    assert told["success"] is True
    assert told["filename"] == take.filename == "Kapitel «1» 朗読.wav"
    assert told["path"] == str(take.key)
    assert told["storage_backend"] == take.backend == ("local" if site.supabase is None else "supabase")
    assert told["upload_id"] == take.id
    assert told["file_size_mb"] == round(len(recording) / MB, 2)
    assert (told["project_id"], told["chapter_id"], told["section_id"]) == ("p1", "1", "2")
    assert told["replaced"] is False
    assert told["duration"] == pytest.approx(4.53, abs=0.01)
    assert site.store.get(take) == recording
    assert site.store.usage(ALICE).used == len(recording)


def test_the_older_names_of_the_fields_and_none_at_all_will_do(alice: Visitor, store: AudioStore) -> None:
    told = alice.upload(projectId="p1", chapterId="3", sectionId="4")
    assert (told["project_id"], told["chapter_id"], told["section_id"]) == ("p1", "3", "4")
    alone = alice.upload()
    assert alone["project_id"]
    assert (alone["chapter_id"], alone["section_id"]) == (None, None)
    assert store.find(path=alone["path"], owner=ALICE).project == alone["project_id"]


@pytest.mark.everywhere
def test_a_new_take_in_a_section_replaces_the_old_one_and_frees_it(
    site: Site, alice: Visitor, recording: bytes
) -> None:
    old = alice.upload(recording, "old.wav", **PLACE)
    longer = recording + recording[-2000:]
    new = alice.upload(longer, "new.wav", **PLACE)
    assert new["replaced"] is True
    assert new["path"] != old["path"]
    (take,) = site.store.list(owner=ALICE)
    assert take.filename == "new.wav"
    assert site.store.usage(ALICE).used == len(longer)
    assert alice.links(old["path"], new["path"])["missing"] == [old["path"]]
    assert site.store.audit().ok


def test_places_that_are_no_section_keep_all_they_get(alice: Visitor, store: AudioStore) -> None:
    for _ in range(2):
        alice.upload(project_id="p1", chapter_id="1")
    assert store.usage(ALICE).files == 2


def test_of_takes_that_come_at_once_one_stays(alice: Visitor, store: AudioStore, recording: bytes) -> None:
    def send(_: int) -> httpx.Response:
        return alice.send(recording, **PLACE)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert 200 in {answer.status_code for answer in answers}
    (take,) = store.list(owner=ALICE)
    assert str(take.key) in {answer.json().get("path") for answer in answers}
    assert store.usage(ALICE).used == len(recording)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"Dear diary,\n" * 9, b"<!doctype html><script>alert(1)</script>"], ids=["empty", "text", "html"]
)
def test_what_is_no_audio_is_415_whatever_it_is_called(alice: Visitor, store: AudioStore, content: bytes) -> None:
    told = problem(alice.send(content, "take.mp3"), 415)
    assert told["code"] == "unsupported_audio"
    assert nothing_is_left(store)


def test_a_form_without_a_file_is_400_and_says_what_is_missing(alice: Visitor) -> None:
    assert "audio" in alice.refused("POST", "/api/upload", 400, data={"project_id": "p1"})["message"]
    assert "audio" in alice.refused("POST", "/api/upload", 400, data={"audio": "no file"})["message"]
    assert "audio" in alice.refused("POST", "/api/upload", 400)["message"]


@pytest.mark.parametrize("id", ["x" * 256, "a\0b"])
def test_places_that_nothing_can_keep_are_400(alice: Visitor, store: AudioStore, id: str) -> None:
    assert "project_id" in problem(alice.send(project_id=id), 400)["message"]
    assert nothing_is_left(store)


def test_a_file_over_the_limit_is_413(alice: Visitor, store: AudioStore, recording: bytes) -> None:
    store.set_quota(ALICE, per_file=int(0.3 * MB))
    told = problem(alice.send(recording + bytes(150_000)), 413)
    assert told["limit"] == int(0.3 * MB)
    assert nothing_is_left(store)


@pytest.mark.settings(MAX_FILE_SIZE_MB="0.3")
def test_a_request_far_over_the_limit_is_refused_unread_and_before_it_is_asked_whose_it_is(site: Site) -> None:
    head = b"POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999999999999\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        connection.sendall(head + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"


# Werkzeug leaves what it had spooled of a refused form to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <function SpooledTemporaryFile")
@pytest.mark.settings(MAX_FILE_SIZE_MB="0.3")
def test_a_body_that_tells_no_length_is_refused_where_it_becomes_too_long(alice: Visitor, store: AudioStore) -> None:
    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
        yield from (bytes(10_000) for _ in range(200))
        yield b"\r\n--b--\r\n"

    form = {"Content-Type": "multipart/form-data; boundary=b"}
    problem(alice.ask("POST", "/api/upload", content=body(), headers=form), 413)
    assert nothing_is_left(store)


@pytest.mark.settings(FREE_USER_QUOTA_MB="0.3")
class TestNoRoom:
    """The seed's quota, of which one take is two thirds. (On Supabase the plan is the database's.)"""

    @pytest.fixture(autouse=True)
    def small(self, site: Site) -> None:
        site.store.set_quota(ALICE, int(0.3 * MB))

    def test_what_does_not_fit_is_507_and_nothing_changes(self, alice: Visitor, store: AudioStore) -> None:
        alice.upload()
        before = store.usage(ALICE)
        told = problem(alice.send(), 507)
        assert told["code"] == "quota_exceeded"
        assert "room" in told["message"]
        assert (told["used"], told["quota"]) == (before.used, int(0.3 * MB))
        assert store.usage(ALICE) == before
        assert store.audit().ok

    def test_a_new_take_of_a_section_needs_room_for_its_growth_alone(self, alice: Visitor, store: AudioStore) -> None:
        alice.upload(**PLACE)
        assert alice.upload(**PLACE)["replaced"] is True
        assert store.usage(ALICE).files == 1

    def test_a_direct_upload_is_refused_before_a_byte_is_sent(self, alice: Visitor, recording: bytes) -> None:
        alice.upload()
        alice.refused("POST", "/api/upload/begin", 507, json={"filename": "a.wav", "size": len(recording)})


@pytest.mark.settings(QUOTA_STATUS="402")
def test_an_app_that_sells_room_answers_402(site: Site, alice: Visitor) -> None:
    site.store.set_quota(ALICE, 1000)
    assert problem(alice.send(), 402)["code"] == "quota_exceeded"


# --- direct uploads ---------------------------------------------------------------------------------------------------


def begin(visitor: Visitor, content: bytes, **fields: object) -> dict[str, object]:
    asked = {"filename": "take.wav", "size": len(content), **fields}
    granted: dict[str, object] = visitor.ok("POST", "/api/upload/begin", json=asked)
    return granted


def put(visitor: Visitor, granted: dict[str, object], content: bytes) -> httpx.Response:
    return visitor.ask(str(granted["method"]), str(granted["url"]), content=content, headers=granted["headers"])


@pytest.mark.everywhere
def test_the_bytes_go_straight_to_the_storage_and_are_counted_once(
    site: Site, alice: Visitor, recording: bytes
) -> None:
    granted = begin(alice, recording, project_id="p1", chapter_id=1, section_id=2)
    assert (site.store.usage(ALICE).used, site.store.usage(ALICE).reserved) == (0, len(recording))
    assert alice.refused("POST", "/api/upload/finish", 404, json={"reservation": granted["reservation"]})
    assert put(alice, granted, recording).is_success
    told = alice.ok("POST", "/api/upload/finish", json={"reservation": granted["reservation"]})
    again = alice.ok("POST", "/api/upload/finish", json={"reservation": granted["reservation"]})
    assert told["upload_id"] == again["upload_id"]
    (take,) = site.store.list(owner=ALICE)
    assert (take.project, take.chapter, take.section) == ("p1", "1", "2")
    assert site.store.get(take) == recording
    assert (site.store.usage(ALICE).used, site.store.usage(ALICE).reserved) == (len(recording), 0)


def test_a_direct_upload_replaces_the_take_of_its_section(site: Site, alice: Visitor, recording: bytes) -> None:
    old = alice.upload(recording, **PLACE)
    granted = begin(alice, recording, **PLACE)
    put(alice, granted, recording)
    told = alice.ok("POST", "/api/upload/finish", json={"reservation": granted["reservation"]})
    assert told["replaced"] is True
    assert [take.id for take in site.store.list(owner=ALICE)] == [told["upload_id"]]
    assert told["path"] != old["path"]
    assert site.store.usage(ALICE).used == len(recording)


def test_html_that_came_directly_is_not_kept(site: Site, alice: Visitor) -> None:
    page = b"<!doctype html><script>alert(1)</script>"
    granted = begin(alice, page)
    put(alice, granted, page)
    alice.refused("POST", "/api/upload/finish", 415, json={"reservation": granted["reservation"]})
    usage = site.store.usage(ALICE)
    assert (usage.used, usage.reserved, usage.files) == (0, 0, 0)


def test_a_cancelled_upload_gives_its_room_back(alice: Visitor, store: AudioStore, recording: bytes) -> None:
    granted = begin(alice, recording)
    alice.ok("POST", "/api/upload/cancel", json={"reservation": granted["reservation"]})
    assert store.usage(ALICE).reserved == 0
    alice.refused("POST", "/api/upload/finish", 410, json={"reservation": granted["reservation"]})


@pytest.mark.parametrize(
    ("asked", "status", "named"),
    [
        ({"size": 9}, 400, "filename"),
        ({"filename": "a.wav"}, 400, "size"),
        ({"filename": "a.wav", "size": -1}, 400, "size"),
        ({"filename": "a.wav", "size": "many"}, 400, "size"),
        ({"filename": "a.wav", "size": 0}, 415, ""),
        ({"filename": "a.wav", "size": 10**12}, 413, ""),
        ({"filename": "a.wav", "size": 9, "content_type": "no type"}, 400, "content_type"),
        (["no object"], 400, ""),
    ],
)
def test_what_is_missing_or_wrong_is_told(alice: Visitor, asked: object, status: int, named: str) -> None:
    assert named in alice.refused("POST", "/api/upload/begin", status, json=asked)["message"]
