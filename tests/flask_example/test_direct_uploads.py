"""Straight from the browser: begin, PUT, finish, as the page's script does it."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from audiostore import AudioStore
from tests.flask_example.running import Answer, Site, Visitor
from tests.flask_example.test_takes import nothing_is_left


@pytest.fixture(autouse=True)
def script(site: Site, alice: Visitor, bob: Visitor) -> None:
    for visitor in (alice, bob):
        visitor.headers["Accept"] = "application/json"


def begin(visitor: Visitor, size: int, filename: str = "take.wav", **place: str) -> Answer:
    fields = {"filename": filename, "size": str(size), "chapter": "", "section": "", **place}
    return visitor.post("/uploads", fields)


def put(visitor: Visitor, grant: dict[str, Any], content: bytes) -> Answer:
    return visitor.send(grant["method"], grant["url"], content, grant["headers"])


def test_the_bytes_arrive_and_are_counted_once(alice: Visitor, store: AudioStore, recording: bytes) -> None:
    grant = begin(alice, len(recording), "Été.wav", chapter="4", section="b").json
    assert (store.usage("alice").used, store.usage("alice").reserved) == (0, len(recording))
    assert put(alice, grant, recording).status == 201
    finished = alice.post(f"/uploads/{grant['id']}/finish")
    (take,) = store.list(owner="alice")
    assert finished.json == {"id": take.id}
    assert (take.filename, take.chapter, take.section) == ("Été.wav", "4", "b")
    assert store.get(take) == recording
    assert (store.usage("alice").used, store.usage("alice").reserved) == (len(recording), 0)
    assert "Stored “Été.wav”." in alice.shown()


def test_finishing_twice_gives_the_same_take(alice: Visitor, store: AudioStore, recording: bytes) -> None:
    grant = begin(alice, len(recording)).json
    put(alice, grant, recording)
    finished = [alice.post(f"/uploads/{grant['id']}/finish").json for _ in range(2)]
    assert finished[0] == finished[1]
    assert store.usage("alice").files == 1


def test_refusals_come_before_a_byte_is_sent(alice: Visitor, store: AudioStore, recording: bytes) -> None:
    for size, name, status in ((400_000, "a.wav", 413), (0, "a.wav", 415), (-1, "a.wav", 415), (9, "a.pdf", 415)):
        answer = begin(alice, size, name)
        assert answer.status == status
        assert answer.json["error"]
    for _ in range(5):
        alice.upload(recording)
    answer = begin(alice, len(recording))
    assert (answer.status, answer.json) == (
        507,
        {"error": "There is not enough room left. Delete a take to make some."},
    )
    assert store.usage("alice").reserved == 0


def test_more_bytes_than_were_granted_are_refused(alice: Visitor, store: AudioStore, recording: bytes) -> None:
    grant = begin(alice, 100_000).json
    assert put(alice, grant, recording).status == 413
    assert alice.post(f"/uploads/{grant['id']}/finish").status == 404
    assert put(alice, grant, recording[:100_000]).status == 201
    assert alice.post(f"/uploads/{grant['id']}/finish").status == 200
    assert store.usage("alice").used == 100_000


def test_text_in_a_file_called_wav_is_not_kept(alice: Visitor, store: AudioStore) -> None:
    grant = begin(alice, 12).json
    assert put(alice, grant, b"Dear diary,\n").status == 201
    assert alice.post(f"/uploads/{grant['id']}/finish").status == 415
    assert nothing_is_left(store)


def test_a_broken_connection_leaves_nothing_and_can_be_tried_again(
    alice: Visitor, site: Site, store: AudioStore, recording: bytes
) -> None:
    grant = begin(alice, len(recording)).json
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        head = f"PUT {grant['url']} HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nContent-Length: {len(recording)}"
        connection.sendall(head.encode() + b"\r\n\r\n" + recording[:70_000])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    assert site.seen[-1].method == "PUT"
    assert site.seen[-1].status >= 400
    assert alice.post(f"/uploads/{grant['id']}/finish").status == 404
    assert put(alice, grant, recording).status == 201
    assert alice.post(f"/uploads/{grant['id']}/finish").status == 200
    assert store.audit().ok


def test_nobody_else_finishes_an_upload(alice: Visitor, bob: Visitor, store: AudioStore, recording: bytes) -> None:
    grant = begin(alice, len(recording)).json
    put(alice, grant, recording)
    assert bob.post(f"/uploads/{grant['id']}/finish").status == 404
    assert store.usage("bob").files == store.usage("alice").files == 0


def test_a_link_to_listen_takes_no_bytes(alice: Visitor, recording: bytes) -> None:
    alice.upload(recording)
    (link,) = alice.links().values()
    assert alice.send("PUT", link, recording).status == 403
    assert alice.get(link).body == recording
