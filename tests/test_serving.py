"""Links over a real socket: what a browser, a player and a download manager get from a store on disk."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiostore import (
    AudioFile,
    AudioStore,
    ConfigurationError,
    serve,
)
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.streams import ByteStream
from tests.http_host import Host, fetch, hosted

SOUND = b"RIFF" + bytes(range(256)) * 4096  # more than a chunk, so that bodies come in several
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
    with AudioStore.local(tmp_path / "uploads", secret=SECRET, clock=clock) as made:
        yield made


@pytest.fixture
def host(store: AudioStore) -> Generator[Host]:
    with hosted(store) as running:
        yield running
    assert running.errors == []


@pytest.fixture
def take(store: AudioStore) -> AudioFile:
    return store.put(SOUND, owner="alice", project="p1", filename="Глава 1 «Начало».wav")


class TestPlaying:
    def test_the_whole_file_comes_with_all_a_player_must_know(
        self, store: AudioStore, host: Host, take: AudioFile
    ) -> None:
        answer = fetch(host, store.url(take))
        assert (answer.status, answer.body) == (200, SOUND)
        assert answer.headers["Content-Type"] == "audio/wav"
        assert answer.headers["Content-Length"] == str(len(SOUND))
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["ETag"] == f'"{take.sha256}"'
        assert answer.headers["Cache-Control"] == store.cache_control

    def test_a_player_seeks(self, store: AudioStore, host: Host, take: AudioFile) -> None:
        link = store.url(take)
        end = len(SOUND) - 1
        for asked, first, last in (("0-", 0, end), ("700000-700099", 700_000, 700_099), ("-4", end - 3, end)):
            answer = fetch(host, link, headers={"Range": f"bytes={asked}"})
            assert (answer.status, answer.body) == (206, SOUND[first : last + 1])
            assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(SOUND)}"
            assert answer.headers["Content-Length"] == str(last - first + 1)

    def test_a_seek_beyond_the_end_is_told_the_size(self, store: AudioStore, host: Host, take: AudioFile) -> None:
        answer = fetch(host, store.url(take), headers={"Range": f"bytes={len(SOUND)}-"})
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(SOUND)}")

    def test_head_tells_all_and_sends_nothing(self, store: AudioStore, host: Host, take: AudioFile) -> None:
        whole, head = fetch(host, store.url(take)), fetch(host, store.url(take), "HEAD")
        assert (head.status, head.body) == (200, b"")
        ours = [name for name in whole.headers if name not in {"Server", "Date"}]
        assert [head.headers[name] for name in ours] == [whole.headers[name] for name in ours]

    def test_a_cache_is_told_that_it_has_it_already(self, store: AudioStore, host: Host, take: AudioFile) -> None:
        tag = fetch(host, store.url(take), "HEAD").headers["ETag"]
        answer = fetch(host, store.url(take), headers={"If-None-Match": tag})
        assert (answer.status, answer.body) == (304, b"")
        resumed = fetch(host, store.url(take), headers={"If-Range": tag, "Range": "bytes=1000000-"})
        assert (resumed.status, resumed.body) == (206, SOUND[1_000_000:])
        changed = fetch(host, store.url(take), headers={"If-Range": '"another"', "Range": "bytes=1000000-"})
        assert (changed.status, changed.body) == (200, SOUND)

    def test_wsgi_is_kept_to_the_letter(self, store: AudioStore, take: AudioFile) -> None:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> ByteStream:
            headers = {"Range": environ.get("HTTP_RANGE", "")}
            reply = serve(store, environ["PATH_INFO"].rpartition("/")[2], environ["REQUEST_METHOD"], headers)
            start_response(f"{reply.status} Said", list(reply.headers.items()))
            return reply.body

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], object]:
            return bytes

        for link, asked, method in (
            (store.url(take), "bytes=5-9", "GET"),
            (store.url(take), "", "HEAD"),
            ("/audio/junk", "", "GET"),
            ("/audio/junk", "", "HEAD"),
        ):
            environ: WSGIEnvironment = {
                "PATH_INFO": str(link),
                "HTTP_RANGE": asked,
                "REQUEST_METHOD": method,
                "QUERY_STRING": "",
                "SCRIPT_NAME": "",
            }
            setup_testing_defaults(environ)
            body = validator(app)(environ, start)
            if method == "GET" and asked:
                assert b"".join(body) == SOUND[5:10]
            else:
                list(body)
            body.close()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    def test_a_flask_app_needs_three_lines(self, store: AudioStore, take: AudioFile) -> None:
        app = flask.Flask("host")

        @app.route("/audio/<token>", methods=["GET", "PUT"])
        def audio(token: str) -> flask.Response:  # pyright: ignore[reportUnusedFunction]
            reply = serve(store, token, flask.request.method, flask.request.headers, flask.request.stream)
            return flask.Response(reply.body, reply.status, reply.headers)

        client = app.test_client()
        with client.get(store.url(take), headers={"Range": "bytes=5-9"}) as answer:
            assert (answer.status_code, answer.data) == (206, SOUND[5:10])
        with client.head(store.url(take)) as answer:
            assert (answer.status_code, answer.content_length) == (200, len(SOUND))
        grant = store.begin_upload(owner="bob", size=100, filename="take.wav")
        with client.put(grant.url, data=SOUND[:90]) as answer:
            assert answer.status_code == 201
        assert store.finish_upload(grant).size == 90


class TestNames:
    def test_it_is_played_in_place_and_kept_under_its_name(
        self, store: AudioStore, host: Host, take: AudioFile
    ) -> None:
        told = fetch(host, store.url(take)).headers["Content-Disposition"]
        assert told.startswith("inline; filename=\"_____ 1 ________.wav\"; filename*=UTF-8''")
        assert unquote(told.partition("''")[2]) == take.filename

    def test_a_download_is_saved_under_the_name_asked_for(self, store: AudioStore, host: Host, take: AudioFile) -> None:
        told = fetch(host, store.url(take, download_as="第一章.wav")).headers["Content-Disposition"]
        assert told == "attachment; filename=\"___.wav\"; filename*=UTF-8''%E7%AC%AC%E4%B8%80%E7%AB%A0.wav"

    def test_a_plain_name_is_told_once(self, store: AudioStore, host: Host, take: AudioFile) -> None:
        told = fetch(host, store.url(take, download_as="take 1.wav")).headers["Content-Disposition"]
        assert told == 'attachment; filename="take 1.wav"'

    @given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
    def test_no_name_breaks_out_of_its_header(self, name: str) -> None:
        told = named(name)
        assert re.fullmatch(
            r'attachment; filename="[^"\\\x00-\x1f\x7f-\U0010ffff/%]+"(; filename\*=UTF-8\'\'[!-~]+)?', told
        )

    @pytest.mark.parametrize(
        ("name", "saved"),
        [
            ('a"; filename="b.exe', 'a"; filename="b.exe'),
            ("a\r\nSet-Cookie: x=y", "a__Set-Cookie: x=y"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("C:\\take.wav", "C:_take.wav"),
            ("take\u202egpm.exe", "take_gpm.exe"),
            ("100%.wav", "100%.wav"),
            ("é" * 4000 + ".wav", "é" * 125 + ".wav"),
        ],
    )
    def test_a_hostile_name_is_made_harmless(self, name: str, saved: str) -> None:
        told = named(name)
        assert unquote(told.partition("''")[2] or told.partition("=")[2].strip('"')) == saved

    def test_a_long_name_of_a_file_is_told_in_short(self) -> None:
        take = SHELF.put(b"RIFFsound", owner="alice", filename="é" * 2000 + ".wav")
        with serve(SHELF, SHELF.url(take).rpartition("/")[2]) as reply:
            assert unquote(reply.headers["Content-Disposition"].partition("''")[2]) == "é" * 125 + ".wav"


class TestSafety:
    @pytest.mark.parametrize("sent", ["audio/wav", "audio/ogg", "audio/mp4", "audio/x-caf"])
    def test_sound_is_played_as_what_it_is(self, sent: str) -> None:
        assert described(sent) == (sent, "inline")

    @pytest.mark.parametrize("sent", ["video/webm", "video/mp4"])
    def test_a_recording_that_calls_itself_video_still_plays(self, sent: str) -> None:
        assert described(sent) == (sent, "attachment")

    @pytest.mark.parametrize("sent", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/plain", "x/y"])
    def test_what_is_no_sound_is_only_saved(self, sent: str) -> None:
        assert described(sent) == ("application/octet-stream", "attachment")

    def test_every_reply_forbids_to_run_it(self, store: AudioStore, host: Host, take: AudioFile) -> None:
        for method, link in (
            ("GET", store.url(take)),
            ("HEAD", store.url(take)),
            ("GET", "/audio/junk"),
            ("POST", "/"),
        ):
            answer = fetch(host, link, method)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
            assert answer.headers["Referrer-Policy"] == "no-referrer"

    def test_the_token_is_neither_logged_nor_sent_back(
        self, store: AudioStore, host: Host, take: AudioFile, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        for link in (store.url(take), store.url(take) + "x", "/audio/v1.junk.junk"):
            token = link.rpartition("/")[2]
            for method in ("GET", "PUT", "POST"):
                answer = fetch(host, link, method)
                assert token.encode() not in answer.body
                assert token not in str(answer.headers)
            assert token not in caplog.text


class TestRefusals:
    def test_deleting_a_file_ends_its_links(self, store: AudioStore, host: Host, take: AudioFile) -> None:
        link = store.url(take)
        assert fetch(host, link).status == 200
        store.delete(take)
        for method in ("GET", "HEAD"):
            answer = fetch(host, link, method)
            assert (answer.status, answer.headers["Cache-Control"]) == (404, "no-store")

    def test_a_player_can_tell_an_expired_link_from_a_bad_one(
        self, store: AudioStore, host: Host, take: AudioFile, clock: Clock
    ) -> None:
        link = store.url(take, expires=timedelta(minutes=10))
        clock.now += 7 * 60
        assert fetch(host, link).status == 200
        clock.now += 3 * 60
        expired, bad = fetch(host, link), fetch(host, link[:-1] + ("A" if link[-1] != "A" else "E"))
        assert (expired.status, expired.text) == (403, "link expired")
        assert (bad.status, bad.text) == (403, "link invalid")
        assert expired.headers["Cache-Control"] == bad.headers["Cache-Control"] == "no-store"
        assert expired.headers["Content-Type"].startswith("text/plain")

    def test_a_secret_that_was_rotated_out_ends_its_links(self, tmp_path: Path) -> None:
        new = SECRET[::-1]
        with AudioStore.local(tmp_path, secret=SECRET) as before:
            link = before.url(before.put(SOUND, owner="alice"))
        rotated: list[tuple[list[str | bytes], int]] = [([SECRET, new], 200), ([new], 403)]
        for secrets, status in rotated:
            with AudioStore.local(tmp_path, secret=secrets) as after, serve(after, link.rpartition("/")[2]) as reply:
                assert reply.status == status

    @pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "get", ""])
    def test_other_methods_are_told_which_there_are(self, store: AudioStore, take: AudioFile, method: str) -> None:
        with serve(store, store.url(take).rpartition("/")[2], method) as reply:
            assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD, PUT")

    def test_a_link_to_listen_takes_no_upload_and_the_other_way_round(self, store: AudioStore, host: Host) -> None:
        take = store.put(SOUND, owner="alice")
        grant = store.begin_upload(owner="alice", size=10, filename="a.wav")
        assert fetch(host, store.url(take), "PUT", body=b"x").text == "link invalid"
        assert fetch(host, grant.url).text == "link invalid"

    def test_junk_in_the_address_is_refused(self, host: Host) -> None:
        for junk in ("", "x", "v1..", "a" * 10_000, "%00", "../../etc/passwd", "v1.%2e.x", "?"):
            assert fetch(host, f"/audio/{junk}").status == 403

    def test_head_refuses_without_a_body(self, store: AudioStore) -> None:
        with serve(store, "junk", "HEAD") as head, serve(store, "junk") as whole:
            assert (head.status, head.headers, list(head.body)) == (403, whole.headers, [])

    def test_a_store_without_a_secret_says_so(self) -> None:
        with pytest.raises(ConfigurationError, match="secret"):
            serve(AudioStore(MemoryBackend(), MemoryCatalog()), "v1.a.b")


SHELF = AudioStore(MemoryBackend(), MemoryCatalog(), secret=SECRET)


def named(filename: str) -> str:
    take = SHELF.put(b"RIFFsound", owner="alice", content_type="audio/wav")
    with serve(SHELF, SHELF.url(take, download_as=filename).rpartition("/")[2]) as reply:
        return reply.headers["Content-Disposition"]


def described(content_type: str) -> tuple[str, str]:
    take = SHELF.put(b"RIFFsound", owner="alice", content_type=content_type)
    with serve(SHELF, SHELF.url(take).rpartition("/")[2]) as reply:
        return reply.headers["Content-Type"], reply.headers["Content-Disposition"].partition(";")[0]
