"""What the server says is told as what it means, and secrets stay secret."""

from __future__ import annotations

import logging
import os
import re
import traceback
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiostore.backends.supabase import SupabaseBackend
from audiostore.errors import (
    AudioStoreError,
    ConfigurationError,
    FileTooLarge,
    NotFound,
    PermissionDenied,
    Unavailable,
    UnsupportedAudio,
)
from audiostore.keys import Key
from audiostore.models import Place, Upload
from audiostore.paths import ChapterSectionPath, TemplatePath
from tests.supabase.project import BUCKET, KIB, QUICK, Served

KEY = Key("alice/take.wav")
SERVERS_OWN = re.compile(r"^[A-Za-z0-9_/!.*'() &$=@;:+,?-]*$")


def acts(project: Served) -> dict[str, Callable[[SupabaseBackend], object]]:
    return {
        "stat": lambda backend: backend.stat(KEY),
        "read": lambda backend: backend.read(KEY),
        "write": lambda backend: backend.write(Key("alice/new.wav"), project.stage(b"new")),
        "write in chunks": lambda backend: backend.write(Key("alice/new.wav"), project.stage(bytes(200 * KIB))),
        "delete": lambda backend: backend.delete([KEY]),
        "list": lambda backend: list(backend.list()),
        "copy": lambda backend: backend.copy(KEY, Key("alice/new.wav")),
        "move": lambda backend: backend.move(KEY, Key("alice/new.wav")),
        "sign": lambda backend: backend.sign([KEY], expires=timedelta(hours=1)),
    }


NAMES = ["stat", "read", "write", "write in chunks", "delete", "list", "copy", "move", "sign"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("token", ["expired", "forged", "garbled"])
def test_a_token_that_is_not_taken_is_denied_and_not_a_missing_bucket(
    project: Served, backend: SupabaseBackend, name: str, token: str
) -> None:
    backend.write(KEY, project.stage(b"take"))
    good = project.fake.user_token("alice", expires_in=timedelta(hours=-1 if token == "expired" else 1))
    bad = {"expired": good, "forged": good[:-6] + "AAAAAA", "garbled": "garbled"}[token]
    with closing(project.backend(token=bad)) as denied, pytest.raises(PermissionDenied) as refused:
        acts(project)[name](denied)
    assert ("expired" in str(refused.value)) == (token == "expired")
    assert project.bytes_of(KEY) == b"take"


@pytest.mark.parametrize("name", ["stat", "read", "write", "write in chunks"])
def test_a_missing_bucket_is_a_matter_of_configuration(project: Served, name: str) -> None:
    backend = SupabaseBackend(project.url, project.fake.service_key, "no-such-bucket", timeouts=QUICK)
    with closing(backend), pytest.raises(ConfigurationError, match="no-such-bucket"):
        acts(project)[name](backend)


def test_a_server_that_is_not_there_is_unavailable_and_never_missing(project: Served) -> None:
    nobody = SupabaseBackend("http://127.0.0.1:9", project.fake.service_key, timeouts=QUICK)
    for name, act in acts(project).items():
        with pytest.raises(Unavailable) as raised:
            act(nobody)
        assert raised.value.retryable, name
    nobody.close()


def test_a_user_sees_and_writes_in_their_own_folder_alone(project: Served, backend: SupabaseBackend) -> None:
    backend.write(KEY, project.stage(b"take"))
    with closing(project.backend(key=project.fake.anon_key, token=project.fake.user_token("bob"))) as bob:
        with pytest.raises(NotFound):
            bob.stat(KEY)
        with pytest.raises(PermissionDenied):
            bob.write(Key("alice/bobs.wav"), project.stage(b"x"))
        assert bob.delete([KEY]) == frozenset()
        assert bob.write(Key("bob/own.wav"), project.stage(b"own")).size == 3
    assert project.keys() == [KEY, "bob/own.wav"]


def test_limits_of_the_bucket_are_told_as_ours(project: Served, backend: SupabaseBackend) -> None:
    project.fake.create_bucket(BUCKET, file_size_limit=1000)
    for size in (1001, 300 * KIB):
        with pytest.raises(FileTooLarge) as large:
            backend.write(KEY, project.stage(bytes(size)))
        assert (large.value.limit, large.value.size) == (1000, size)
    project.fake.create_bucket(BUCKET, allowed_mime_types=["audio/mpeg"])
    with pytest.raises(UnsupportedAudio) as refused:
        backend.write(KEY, project.stage(b"wav"))
    assert refused.value.code == "type"
    assert project.keys() == []


def test_no_key_is_in_messages_logs_or_reprs(
    project: Served, backend: SupabaseBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = project.fake.service_key
    told = [repr(backend), repr(vars(backend)), str(vars(backend))]
    for status in (403, 500, 400):
        project.fake.fail_next("*", status=status, error=f"bad token {secret}", times=9)
        try:
            backend.stat(KEY)
        except AudioStoreError as error:
            told.append("".join(traceback.format_exception(error)) + repr(error.__dict__))
    assert len(told) == 6
    assert secret not in "\n".join([*told, caplog.text])


@pytest.mark.parametrize("key", ["", "with space", "line\nbreak", "ключ"])
def test_a_key_that_no_header_holds_is_refused_without_repeating_it(project: Served, key: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        SupabaseBackend(project.url, key)
    assert not key or key not in str(raised.value)


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(hours=2)])
def test_retry_after_is_honoured_and_told(project: Served, backend: SupabaseBackend, wait: timedelta) -> None:
    project.fake.fail_next("POST /object/*", status=429, retry_after=wait)
    if not wait:
        assert backend.write(KEY, project.stage(b"take")).size == 4
        return
    with pytest.raises(Unavailable) as raised:  # longer than the whole operation may take: at once
        backend.write(KEY, project.stage(b"take"))
    assert raised.value.retry_after == timedelta(hours=1)
    assert raised.value.retryable


def test_a_forked_child_has_connections_of_its_own(project: Served, backend: SupabaseBackend) -> None:
    other = Key("alice/other.wav")
    backend.write(KEY, project.stage(b"take" * 5000))
    backend.write(other, project.stage(b"other" * 5000))
    child = os.fork()
    if child == 0:
        try:
            right = all(b"".join(backend.read(other)) == b"other" * 5000 for _ in range(60))
            os._exit(0 if right else 1)
        except BaseException:  # noqa: BLE001 - a child of pytest must not come back
            os._exit(2)
    assert all(b"".join(backend.read(KEY)) == b"take" * 5000 for _ in range(60))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


TEXT = st.text(min_size=1, max_size=300).filter(lambda text: "\0" not in text)


@given(owner=TEXT, project=TEXT, chapter=TEXT, section=TEXT, filename=TEXT)
def test_no_path_builder_makes_a_key_that_the_server_refuses(
    owner: str, project: str, chapter: str, section: str, filename: str
) -> None:
    place = Place(project, chapter, section)
    upload = Upload(id="u1", owner=owner, place=place, filename=filename, content_type="audio/wav", size=1)
    for build in (ChapterSectionPath(), TemplatePath("{owner}/{project}/{chapter}/{section}/{id}-{name}")):
        try:
            key = Key(build(upload))
        except ValueError:
            continue  # refused by us, before any server saw it
        assert SERVERS_OWN.fullmatch(key)
        assert not {"", ".", ".."} & set(key.split("/"))
