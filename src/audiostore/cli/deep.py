"""The walk that ``doctor --deep`` takes: all that an app does with a store, for an owner made for it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

from audiostore.cli.checks import Check, Finding, examined
from audiostore.cli.project import BRIEF
from audiostore.cli.showing import counted
from audiostore.cli.trip import expect, fetch, is_remote, sample
from audiostore.errors import NotFound, QuotaExceeded
from audiostore.models import AudioFile, Limits, SignedUrl, UploadGrant
from audiostore.serving import serve
from audiostore.sizes import format_size
from audiostore.store import AudioStore
from audiostore.transport import Body, Call, Transport

_OWNERS: Final = 100
"""No app's users, and so many at most: each leaves an account. What a killed doctor left, a later one finds."""
_TRIES: Final = 20
_HOUR: Final = timedelta(hours=1)
_KILLED: Final = timedelta(hours=1)
"""A file of a doctor that is so old has nobody any more."""
_PROJECT: Final = "audiostore-doctor"


def walk(store: AudioStore) -> Iterator[Check]:
    """Take the steps, a check for each. Without the first there are no others; whatever fails, it is tidied up."""
    walker = _Walk(store)
    try:
        yield (begun := examined("put", _Walk.put, walker))
        if begun.ok:
            for name, step in _STEPS:
                yield examined(name, step, walker)
    finally:
        left = examined("left behind", _Walk.tidy, walker)
    yield left


class _Walk:
    def __init__(self, store: AudioStore) -> None:
        self._store = store
        self._owner = ""
        self._content = sample()
        self._other = sample()[:-1000]
        self._file: AudioFile | None = None
        self._direct: AudioFile | None = None
        self._link: SignedUrl | None = None

    def put(self) -> str:
        """Find an owner whom no other doctor has just now, and store its first file."""
        for _ in range(_TRIES):
            self._owner = f"{_PROJECT}-{secrets.randbelow(_OWNERS):02d}"
            if self._is_free():
                break
            self._owner = ""
        else:
            raise Finding("too many doctors are at work", "wait an hour, then try again")
        # Numbers of its own: a plan that allows nothing is no fault of the store's.
        until = datetime.now(UTC) + _HOUR
        self._store.set_quota(self._owner, None, per_file=None, files=None, until=until)
        self._file = self._put(self._content)
        return f"{format_size(self._file.size)} on {self._file.backend}, for owner {self._owner}"

    def record(self) -> str:
        file = self._first
        for found in (
            self._store.find(file.id),
            self._store.find(path=file.key, owner=self._owner),
            *self._store.list(owner=self._owner, project=_PROJECT, chapter=1),
        ):
            expect(found == file, "the record is not what put gave")
        expect(self._store.stat(file).size == file.size, "the object is of another size than its record")
        return "found by id, by path and in the list; the object is as large as it says"

    def usage(self) -> str:
        return self._charged(len(self._content), 1)

    def refusal(self) -> str:
        """Be full, and try."""
        owner, before = self._owner, len(self._content)
        until = datetime.now(UTC) + _HOUR
        self._store.set_quota(owner, before + 1000, until=until)
        try:
            refused = self._put(self._content)
        except QuotaExceeded as error:
            expect(error.kind == "bytes", f"refused, but for its {error.kind}")
        else:
            self._store.delete(refused)
            raise Finding("an owner went over its quota", "please report it, with the output of audiostore version")
        finally:
            self._store.set_quota(owner, None, per_file=None, files=None, until=until)
        self._charged(before, 1)
        return (
            f"a second file of {format_size(before)} is refused with {format_size(1000)} left, and nothing is charged"
        )

    def play(self) -> str:
        self._link = link = self._store.url(self._first)
        expect(fetch(self._store, link) == self._content[10:1000], "a signed link gives something else")
        return f"a signed link plays from {'its backend' if is_remote(link) else 'this app'}, ranges included"

    def replace(self) -> str:
        before = self._first
        self._file = after = self._store.replace(before, self._other)
        expect((after.id, after.key == before.key) == (before.id, False), "it is not the same file under a new key")
        expect(self._store.get(before) == self._other, "what replaced it is not what comes back")
        expect(self._is_gone(before), "the bytes that were replaced are still there")
        self._charged(len(self._other), 1)
        return "the same file, other bytes; the old ones are gone, the difference is charged"

    def direct_upload(self) -> str:
        size = len(self._other)
        grant = self._store.begin_upload(
            owner=self._owner, size=size, project=_PROJECT, chapter=2, filename="direct.wav", content_type="audio/wav"
        )
        reserved = self._store.usage(self._owner).reserved
        expect(reserved == size, f"{reserved} bytes are reserved instead of {size}")
        self._send(grant)
        self._direct = self._store.finish_upload(grant, owner=self._owner)
        expect(self._store.get(self._direct) == self._other, "what was sent is not what comes back")
        self._charged(2 * size, 2)
        return "begun, sent to its link, finished, and charged"

    def delete(self) -> str:
        files = [each for each in (self._file, self._direct) if each is not None]
        for each in files:
            self._store.delete(each)
        for each in files:
            expect(self._is_unknown(each), "a deleted file can still be found")
            expect(self._is_gone(each), "the bytes of a deleted file are still there")
        # A remote link ends with the bytes, but a cache on the way may not have heard of it.
        if self._link is not None and not is_remote(self._link):
            with serve(self._store, self._link.rpartition("/")[2]) as reply:
                expect(reply.status == 404, "a deleted file's link still works")  # noqa: PLR2004
        return "records and bytes are gone"

    def usage_after(self) -> str:
        return self._charged(0, 0)

    def audit(self) -> str:
        report = self._store.audit(self._owner)
        if not report.ok:
            found = ", ".join(each.kind for each in report.drift)
            raise Finding(f"ledger, records and bytes do not agree: {found}", "audiostore audit; please report it")
        return "ledger, records and bytes of this owner agree"

    def tidy(self) -> str:
        """Take back whatever is left; what can't be erased now is queued, and no longer recorded."""
        if not self._owner:
            return "nothing"
        for each in self._store.catalog.pending(self._owner):
            self._store.cancel_upload(each.id, owner=self._owner)
        for file in self._store.list(owner=self._owner):
            self._store.delete(file)
        self._store.clear_quota(self._owner)
        usage = self._store.usage(self._owner)
        if usage.used or usage.reserved:
            raise Finding(f"{format_size(usage.used + usage.reserved)} that could not be erased", "audiostore sweep")
        return "nothing"

    @property
    def _first(self) -> AudioFile:
        assert self._file is not None  # without the first step there are no others
        return self._file

    def _is_free(self) -> bool:
        now = datetime.now(UTC)
        for file in self._store.list(owner=self._owner):
            if now - file.created_at > _KILLED:
                self._store.delete(file)
        usage = self._store.catalog.usage(self._owner, Limits())
        return not (usage.used or usage.reserved)

    def _put(self, content: bytes) -> AudioFile:
        return self._store.put(
            content,
            owner=self._owner,
            project=_PROJECT,
            chapter=1,
            section=1,
            filename="doctor.wav",
            content_type="audio/wav",
        )

    def _send(self, grant: UploadGrant) -> None:
        content = self._other
        if not is_remote(grant.url):
            headers = {**grant.headers, "Content-Length": str(len(content))}
            with serve(self._store, grant.url.rpartition("/")[2], grant.method, headers, content) as reply:
                expect(reply.status < 300, f"the link of a direct upload answers {reply.status}")  # noqa: PLR2004
            return
        body = Body(length=len(content), chunks=lambda: iter([content]))
        with closing(Transport(BRIEF)) as transport:
            transport.send(
                Call(method=grant.method, url=grant.url, what="a direct upload", headers=grant.headers, body=body)
            )

    def _charged(self, size: int, files: int) -> str:
        usage = self._store.usage(self._owner)
        told = f"{format_size(usage.used)} in {counted(usage.files, 'file')}"
        due = (usage.used, usage.reserved, usage.files) == (size, 0, files)
        expect(due, f"{told} and {format_size(usage.reserved)} reserved, it should be {format_size(size)} in {files}")
        return f"{told}, nothing reserved"

    def _is_gone(self, file: AudioFile) -> bool:
        try:
            self._store.backends[file.backend].stat(file.key)
        except NotFound:
            return True
        return False

    def _is_unknown(self, file: AudioFile) -> bool:
        try:
            self._store.find(file.id)
        except NotFound:
            return True
        return False


_STEPS: Final[Sequence[tuple[str, Callable[[_Walk], str]]]] = (
    ("record", _Walk.record),
    ("usage", _Walk.usage),
    ("quota", _Walk.refusal),
    ("link", _Walk.play),
    ("replace", _Walk.replace),
    ("upload", _Walk.direct_upload),
    ("delete", _Walk.delete),
    ("usage after", _Walk.usage_after),
    ("audit", _Walk.audit),
)
