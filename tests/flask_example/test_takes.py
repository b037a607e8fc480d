"""Upload, list, replace, delete by plain forms; and what is refused."""

from __future__ import annotations

import re
import socket

import pytest

from audiostore import AudioStore
from tests.flask_example.running import Site, Visitor


def nothing_is_left(store: AudioStore, owner: str = "alice") -> bool:
    usage = store.usage(owner)
    return (usage.used, usage.reserved, usage.files) == (0, 0, 0) and store.audit().ok and store.audit().objects == 0


class TestUpload:
    def test_a_recording_is_stored_counted_and_listed(
        self, alice: Visitor, store: AudioStore, recording: bytes
    ) -> None:
        answer = alice.upload(recording, "Kapitel.wav", chapter="3", section="Prolog")
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        (take,) = store.list(owner="alice")
        assert (take.filename, take.chapter, take.section) == ("Kapitel.wav", "3", "Prolog")
        assert store.get(take) == recording
        shown = alice.shown()
        assert "Stored “Kapitel.wav”." in shown
        assert "Kapitel.wav 195.1 KB Chapter 3 · Section Prolog ·" in shown
        assert "195.1 KB of 1.0 MB used" in shown

    def test_the_quota_bar_holds_what_is_on_the_way(self, alice: Visitor, store: AudioStore, recording: bytes) -> None:
        alice.upload(recording)
        store.begin_upload(owner="alice", size="100 KB", filename="next.wav")
        page = alice.get("/").text
        meter = re.search(r"<meter[^>]* max=\"(\d+)\"[^>]* value=\"(\d+)\"", page)
        assert meter is not None
        assert [int(each) for each in meter.groups()] == [1024**2, len(recording) + 100 * 1024]
        assert "100.0 KB on the way" in page

    def test_empty_places_are_no_places(self, alice: Visitor, store: AudioStore, recording: bytes) -> None:
        alice.upload(recording)
        (take,) = store.list(owner="alice")
        assert (take.chapter, take.section) == (None, None)

    def test_the_newest_take_stands_on_top(self, alice: Visitor, recording: bytes) -> None:
        for name in ("first.wav", "second.wav"):
            alice.upload(recording, name)
        assert re.findall(r"<h3>(.*)</h3>", alice.get("/").text) == ["second.wav", "first.wav"]

    def test_a_hostile_filename_is_text_on_the_page(self, alice: Visitor, recording: bytes) -> None:
        alice.upload(recording, "Take <img src=x onerror=alert(1)>'.wav")
        page = alice.get("/").text
        assert page.count("Take &lt;img src=x onerror=alert(1)&gt;&#39;.wav") >= 4  # heading, labels, question
        assert "<img src=x" not in page


class TestRefusals:
    def test_more_than_one_take_may_have(self, alice: Visitor, store: AudioStore, recording: bytes) -> None:
        answer = alice.upload(recording + bytes(120 * 1024))
        assert answer.status == 413
        assert "The file is too large." in answer.text
        assert nothing_is_left(store)

    def test_a_request_far_too_large_is_refused_unread(self, alice: Visitor, site: Site, store: AudioStore) -> None:
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
            cookie = alice.cookie.encode()
            head = b"POST /takes HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999\r\nCookie: " + cookie
            connection.sendall(head + b"\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n")
            assert connection.recv(12) == b"HTTP/1.1 413"
        assert nothing_is_left(store)

    def test_forms_without_a_file_are_small(self, site: Site) -> None:
        assert site.visitor().post("/sign-in", {"name": "x" * 100_000}).status == 413

    def test_no_room_left(self, alice: Visitor, store: AudioStore, recording: bytes) -> None:
        for _ in range(5):
            assert alice.upload(recording).status == 303
        before = store.usage("alice")
        answer = alice.upload(recording)
        assert answer.status == 507
        assert "not enough room left" in answer.text
        assert store.usage("alice") == before
        assert store.audit().ok

    @pytest.mark.parametrize("content", [b"", b"Dear diary,\n", b"%PDF-1.7\n%\xe2\xe3\n", b"<html><script></script>"])
    def test_what_is_no_audio(self, alice: Visitor, store: AudioStore, content: bytes) -> None:
        answer = alice.upload(content)
        assert answer.status == 415
        assert "not an audio file" in answer.text
        assert nothing_is_left(store)

    @pytest.mark.parametrize("chapter", ["x" * 256, "a\0b"])
    def test_places_that_nothing_can_keep(
        self, alice: Visitor, store: AudioStore, recording: bytes, chapter: str
    ) -> None:
        assert alice.upload(recording, chapter=chapter).status == 400
        assert nothing_is_left(store)

    def test_a_name_of_nothing_but_a_hole(self, alice: Visitor, store: AudioStore, recording: bytes) -> None:
        assert alice.upload(recording, "a\0b.wav").status == 400
        assert nothing_is_left(store)

    def test_a_form_without_its_fields(self, alice: Visitor) -> None:
        assert alice.post("/takes").status == 400
        assert alice.post("/sign-in").status == 400

    # Werkzeug forgets the temporary file of a form that it could not read to its end; the collector closes it.
    @pytest.mark.filterwarnings("ignore:Exception ignored in.*SpooledTemporaryFile")
    def test_an_upload_that_breaks_off_leaves_nothing(
        self, alice: Visitor, site: Site, store: AudioStore, recording: bytes
    ) -> None:
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
            head = f"POST /takes HTTP/1.1\r\nHost: x\r\nContent-Length: {len(recording)}\r\nCookie: {alice.cookie}"
            form = "--b\r\nContent-Disposition: form-data; name=file; filename=a.wav\r\n\r\n"
            connection.sendall(f"{head}\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n{form}".encode())
            connection.sendall(recording[:50_000])
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        assert [each.status for each in site.seen if each.path == "/takes"] == [400]
        assert nothing_is_left(store)


class TestChanges:
    def test_a_new_take_keeps_id_and_place(self, alice: Visitor, store: AudioStore, recording: bytes) -> None:
        alice.upload(recording, "old.wav", chapter="1", section="2")
        ((take_id, old_link),) = alice.links().items()
        answer = alice.upload(recording[:100_000], "new.wav", path=f"/takes/{take_id}/replace")
        assert answer.status == 303
        (take,) = store.list(owner="alice")
        assert (take.id, take.filename, take.chapter, take.section) == (take_id, "new.wav", "1", "2")
        assert store.usage("alice").used == 100_000
        assert alice.get(old_link).status == 404
        assert alice.get(alice.links()[take_id]).body == recording[:100_000]

    def test_a_refused_new_take_leaves_the_old_one(self, alice: Visitor, store: AudioStore, recording: bytes) -> None:
        alice.upload(recording)
        ((take_id, link),) = alice.links().items()
        assert alice.upload(b"text", path=f"/takes/{take_id}/replace").status == 415
        assert alice.get(link).body == recording
        assert store.usage("alice").used == len(recording)

    def test_deleting_gives_the_room_back_and_ends_the_link(
        self, alice: Visitor, store: AudioStore, recording: bytes
    ) -> None:
        alice.upload(recording)
        ((take_id, link),) = alice.links().items()
        assert alice.get(link).status == 200
        assert alice.post(f"/takes/{take_id}/delete").status == 303
        assert alice.get(link).status == 404
        assert nothing_is_left(store)
        assert "Nothing here yet" in alice.shown()
        assert alice.post(f"/takes/{take_id}/delete").status == 404
