"""Large writes go on where they broke off, in the same process and in another one."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import signal
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from audiostore.backends.supabase import SupabaseBackend
from audiostore.errors import AlreadyExists, ChecksumMismatch, Unavailable
from audiostore.keys import Key
from tests.supabase import putter
from tests.supabase.project import KIB, Served

KEY = Key("alice/book.wav")
SOUND = random.Random(7).randbytes(600 * KIB)


def sent(project: Served) -> int:
    patches = [each for each in project.fake.requests if each.method == "PATCH"]
    return sum(int(each.headers["content-length"]) for each in patches)


def interrupted(project: Served, at: int) -> str:
    """Write until *at* bytes are on their way; give what is needed to resume."""
    saved: list[str | None] = []

    def progress(done: int, resume: str | None) -> None:
        saved.append(resume)
        if done >= at:
            raise InterruptedError

    with closing(project.backend(tus_threshold=0)) as backend, pytest.raises(InterruptedError):
        backend.write(KEY, project.stage(SOUND), progress=progress)
    assert saved[0] == saved[-1]
    assert saved[0] is not None
    return saved[0]


@pytest.mark.slow
def test_a_killed_put_of_200_mb_is_finished_by_another_process(project: Served, tmp_path: Path) -> None:
    source, size = tmp_path / "book.wav", 200_000_005
    source.write_bytes(random.Random(1).randbytes(size))
    words = [project.url, project.fake.service_key, str(source), str(tmp_path / "catalog")]

    def put(dies_at: int) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONWARNINGS": "error"}
        command = [sys.executable, "-m", "tests.supabase.putter", *words, str(dies_at)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    killed = put(size // 2)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert project.keys() == []
    finished = put(0)
    assert finished.returncode == 0, finished.stderr
    key, digest = finished.stdout.split()
    assert digest == hashlib.sha256(project.bytes_of(Key(key))).hexdigest()
    assert project.keys() == [key]
    assert sent(project) <= size + putter.CHUNK
    assert project.seen("POST", "/upload/resumable") == 1


def test_another_process_goes_on_from_the_servers_offset(project: Served) -> None:
    resume = interrupted(project, 300 * KIB)
    with closing(project.backend(tus_threshold=0)) as backend:
        assert backend.write(KEY, project.stage(SOUND), resume=resume).size == len(SOUND)
    assert project.bytes_of(KEY) == SOUND
    assert sent(project) <= len(SOUND) + 64 * KIB


def test_a_write_that_was_finished_is_not_sent_again(project: Served) -> None:
    resume = interrupted(project, 300 * KIB)
    with closing(project.backend(tus_threshold=0)) as backend:
        backend.write(KEY, project.stage(SOUND), resume=resume)
        before = sent(project)
        assert backend.write(KEY, project.stage(SOUND), resume=resume).size == len(SOUND)
    assert sent(project) == before


def test_what_the_server_forgot_is_sent_from_the_start(project: Served, backend: SupabaseBackend) -> None:
    upload = base64.urlsafe_b64encode(f"audio-files/{KEY}/{uuid.uuid4()}".encode()).decode().rstrip("=")
    gone = f"{project.url}/storage/v1/upload/resumable/{upload}"
    assert backend.write(KEY, project.stage(SOUND), resume=gone).size == len(SOUND)
    assert project.bytes_of(KEY) == SOUND


def test_a_saved_address_on_another_server_gets_no_key(project: Served, backend: SupabaseBackend) -> None:
    strange = "http://127.0.0.1:9/storage/v1/upload/resumable/Z29uZQ"
    assert backend.write(KEY, project.stage(SOUND), resume=strange).size == len(SOUND)


def test_resumed_bytes_that_differ_are_refused(project: Served) -> None:
    resume = interrupted(project, 300 * KIB)
    staged = project.stage(SOUND)
    staged.path.write_bytes(b"x" + SOUND[1:])
    with closing(project.backend(tus_threshold=0)) as backend, pytest.raises(ChecksumMismatch):
        backend.write(KEY, staged, resume=resume)
    assert project.keys() == []


def test_a_resumed_write_over_another_object_is_refused(project: Served, backend: SupabaseBackend) -> None:
    resume = interrupted(project, 300 * KIB)
    backend.write(KEY, project.stage(b"another"))
    with pytest.raises(AlreadyExists):
        backend.write(KEY, project.stage(SOUND), resume=resume)
    assert project.bytes_of(KEY) == b"another"


@pytest.mark.parametrize("cut", [1, 30 * KIB, 64 * KIB - 1])
def test_a_broken_chunk_goes_on_at_the_byte_that_arrived(project: Served, backend: SupabaseBackend, cut: int) -> None:
    project.fake.fail_next("PATCH *", cut_request_after=cut)
    backend.write(KEY, project.stage(SOUND))
    assert project.bytes_of(KEY) == SOUND
    assert project.seen("HEAD") == 1


def test_a_lost_last_answer_is_success(project: Served) -> None:
    with closing(project.backend(tus_threshold=0, chunk_size="1 MB")) as backend:
        project.fake.fail_next("PATCH *", lose_response=True)
        assert backend.write(KEY, project.stage(SOUND)).size == len(SOUND)
    assert project.seen("PATCH") == 1


@pytest.mark.parametrize("act", ["write", "copy", "move"])
def test_a_lost_answer_is_resolved_by_looking(project: Served, backend: SupabaseBackend, act: str) -> None:
    other = Key("alice/other.wav")
    if act == "write":
        project.fake.fail_next("POST /object/*", lose_response=True)
        assert backend.write(KEY, project.stage(b"take")).size == 4
    else:
        backend.write(other, project.stage(b"take"))
        project.fake.fail_next("POST /object/*", lose_response=True)
        assert getattr(backend, act)(other, KEY).size == 4
    assert project.bytes_of(KEY) == b"take"
    assert project.seen("POST", "/object") == (1 if act == "write" else 2)


def test_progress_is_what_the_caller_says_even_if_it_looks_like_an_outage(
    project: Served, backend: SupabaseBackend
) -> None:
    stop = Unavailable("the catalog", retryable=True)

    for size in (100 * KIB, len(SOUND)):
        limit = 50 * KIB if size < 200 * KIB else 200 * KIB

        def told(done: int, resume: str | None, limit: int = limit) -> None:
            if done > limit:
                raise stop

        with pytest.raises(Unavailable) as raised:
            backend.write(KEY, project.stage(SOUND[:size]), progress=told)
        assert raised.value is stop
    assert project.keys() == []
    assert project.seen("POST", "/object/audio-files") == 1
