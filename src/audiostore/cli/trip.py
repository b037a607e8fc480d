"""The round trip that ``doctor`` makes: a file of its own is stored, read back, linked to and deleted."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from audiostore.cli.checks import Finding
from audiostore.cli.project import BRIEF
from audiostore.models import AudioFile
from audiostore.serving import serve
from audiostore.store import AudioStore
from audiostore.transport import Call, Transport

OWNER: Final = "audiostore-doctor-6f1d2c9ae0b74c55"
"""No app's user, and always the same one: a doctor who is asked every minute leaves no more than one account."""
_HOUR: Final = timedelta(hours=1)


def round_trip(store: AudioStore) -> str:
    """Take a file through its life. Whatever goes wrong on the way, it is deleted."""
    begun, now = time.perf_counter(), datetime.now(UTC)
    for file in store.list(owner=OWNER):
        if now - file.created_at > _HOUR:  # of a doctor that was killed
            store.delete(file)
    # Numbers of its own: a plan that allows nothing is no fault of the store's.
    store.set_quota(OWNER, None, per_file=None, files=None, until=now + _HOUR)
    content = sample()
    file = store.put(content, owner=OWNER, filename="doctor.wav", content_type="audio/wav")
    try:
        _read_back(store, file, content)
        link = store.url(file)
        expect(fetch(store, link) == content[10:1000], "a signed link gives something else")
    finally:
        store.delete(file)
    expect(not store.backend.delete([file.key]), "what was deleted is still there")
    if not is_remote(link):  # a remote one ends with the bytes, but a cache on the way may not have heard of it
        with serve(store, link.rpartition("/")[2]) as reply:
            expect(reply.status == 404, "a deleted file's link still works")  # noqa: PLR2004
    return f"put, get, range, link, delete: {1000 * (time.perf_counter() - begun):.0f} ms"


def sample() -> bytes:
    """Give bytes that look like a recording, and are no other's."""
    return b"RIFF\0\0\1\0WAVE" + os.urandom(64 * 1024)


def _read_back(store: AudioStore, file: AudioFile, content: bytes) -> None:
    expect(store.get(file) == content, "what was put is not what comes back")
    with store.stream(file, 10, 1000) as part:
        expect(b"".join(part) == content[10:1000], "a part of a file is not what was asked for")


def fetch(store: AudioStore, link: str) -> bytes | None:
    """Give the bytes 10 to 999 behind *link*, as a player that seeks asks for them."""
    headers = {"Range": "bytes=10-999"}
    if not is_remote(link):
        with serve(store, link.rpartition("/")[2], headers=headers) as reply:
            return b"".join(reply.body) if reply.status == 206 else None  # noqa: PLR2004
    transport = Transport(BRIEF)
    try:
        return transport.send(Call(method="GET", url=link, what="a link", headers=headers, repeatable=True)).content
    finally:
        transport.close()


def is_remote(link: str) -> bool:
    """Tell whether *link* leads to a storage server, and not to the app."""
    return link.startswith(("http://", "https://")) and "/storage/v1/" in link


def expect(fact: bool, complaint: str) -> None:
    """Raise the finding that *complaint* is unless it is as it should be."""
    if not fact:
        raise Finding(complaint, "please report it, with the output of audiostore version")
