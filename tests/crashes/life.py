"""The life of a process that will be killed: threads that put, replace, move, delete and upload, and say so."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from audiostore.errors import QuotaExceeded, ReservationExpired, Unavailable
from tests.crashes.sites import HOLD, TTL, Site

OWNERS = ("anna", "ben", "cleo")
MOST_FILES = 12
TOO_LATE = (403, 404, 410)


@dataclass(frozen=True, slots=True)
class Kept:
    """A file as whoever stored it knows it; its bytes tell who that was."""

    owner: str
    token: str
    size: int
    section: str
    id: str = ""

    @property
    def content(self) -> bytes:
        line = f"{self.owner} {self.token} {self.size}\n".encode()
        return (line * (self.size // len(line) + 1))[: self.size]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, written down before it is made; *before* and *after* are the file it is about (None: there is none)."""

    thread: int
    verb: str
    before: Kept | None
    after: Kept | None


class Life:
    """One process: *threads* of them work on files of their own, of owners whose quota they all share."""

    def __init__(self, site: Site, log: Path, slot: int, files: Mapping[int, list[Kept]], again: list[Call]) -> None:
        self._site = site
        self._store = site.open(f"slot-{slot}")
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._slot = slot
        self._files = {thread: list(kept) for thread, kept in files.items()}
        self._again = again
        self._verbs: Mapping[str, Callable[[Call], Any]] = {
            "put": self._put,
            "put once": self._put_once,
            "upload": self._upload,
            "replace": self._replace,
            "move": self._move,
            "delete": self._delete,
        }

    def live(self) -> None:
        """Work until killed."""
        threads = [threading.Thread(target=self._work, args=(each,)) for each in self._files]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def _work(self, thread: int) -> None:
        chance = random.Random()
        try:
            for call in self._again:
                if call.thread == thread:
                    self._make(call)
            while True:
                self._make(self._choose(thread, chance))
                if chance.random() < 0.1:
                    self._store.sweep()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is to hear of it
            self._say({"failed": repr(error)})
            os._exit(1)

    def _choose(self, thread: int, chance: random.Random) -> Call:
        files = self._files[thread]
        token = f"{self._slot}-{thread}-{chance.getrandbits(48):x}"
        fresh = Kept(chance.choice(OWNERS), token, chance.randrange(500, 8000), str(chance.randrange(9)))
        verb = chance.choice(["delete"] if len(files) > MOST_FILES else list(self._verbs))
        if not files or verb in {"put", "put once", "upload"}:
            return Call(thread, verb if verb in {"put once", "upload"} else "put", None, fresh)
        old = chance.choice(files)
        after = {
            "replace": replace(old, token=token, size=fresh.size),
            "move": replace(old, section=fresh.section),
            "delete": None,
        }
        return Call(thread, verb, old, after[verb])

    def _make(self, call: Call) -> None:
        self._say({"begun": asdict(call)})
        try:
            given = self._verbs[call.verb](call)
        except (QuotaExceeded, ReservationExpired):  # on a busy machine half a second may be too short
            self._say({"refused": call.thread})
            return
        self._say({"done": call.thread, "id": given.id if given else ""})
        files = self._files[call.thread]
        if call.before is not None:
            files.remove(call.before)
        if call.after is not None:
            files.append(replace(call.after, id=given.id))

    def _say(self, what: Mapping[str, Any]) -> None:
        os.write(self._log, json.dumps(what).encode() + b"\n")

    def _put(self, call: Call, **options: Any) -> Any:
        file = _some(call.after)
        chunks = iter([file.content[:1000], file.content[1000:]])
        return self._store.put(chunks, **self._place(call.thread, file), **options)

    def _put_once(self, call: Call) -> Any:
        while True:
            try:
                return self._put(call, idempotency_key=_some(call.after).token)
            except Unavailable as error:  # the try that was killed still counts as alive
                if "idempotency" not in str(error):
                    raise
            threading.Event().wait(HOLD.total_seconds() / 4)

    def _upload(self, call: Call) -> Any:
        file = _some(call.after)
        grant = self._store.begin_upload(size=file.size, expires=TTL, **self._place(call.thread, file))
        status = self._site.send(self._store, grant, file.content)
        if status in TOO_LATE:
            raise ReservationExpired(grant.reservation)
        assert status in {200, 201}, status
        return self._store.finish_upload(grant, owner=file.owner)

    def _replace(self, call: Call) -> Any:
        old, new = _some(call.before), _some(call.after)
        return self._store.replace(old.id, new.content, owner=old.owner, filename=f"{new.token}.wav")

    def _move(self, call: Call) -> Any:
        old, new = _some(call.before), _some(call.after)
        return self._store.move(old.id, owner=old.owner, section=new.section)

    def _delete(self, call: Call) -> None:
        old = _some(call.before)
        self._store.delete(old.id, owner=old.owner)

    def _place(self, thread: int, file: Kept) -> Mapping[str, Any]:
        return {
            "owner": file.owner,
            "project": f"slot {self._slot}",
            "chapter": thread,
            "section": file.section,
            "filename": f"{file.token}.wav",
        }


def _some(file: Kept | None) -> Kept:
    assert file is not None
    return file
