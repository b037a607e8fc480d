"""Every method of the Backend protocol as one act with a known state before and after, and the routes it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from audiostore.backends.supabase import SupabaseBackend
from audiostore.keys import Key
from audiostore.protocols import Progress
from tests.supabase.project import KIB, Served

HERE, THERE, NEW = Key("alice/here.wav"), Key("alice/there.wav"), Key("alice/new.wav")
SOUND = bytes(range(256)) * 300  # 75 KiB: two chunks
State = Mapping[str, bytes]
BEFORE: State = {HERE: SOUND, THERE: b"there"}


@dataclass(frozen=True)
class Act:
    """``after`` is the state a success leaves; ``changes`` what it adds, and ``removes`` what it takes.

    ``prepare`` is what went before, without any fault.
    """

    method: str
    run: Callable[[Served, SupabaseBackend], object]
    routes: tuple[str, ...]
    prepare: Callable[[Served], object] = lambda project: None
    changes: State = field(default_factory=dict[str, bytes])
    removes: frozenset[str] = frozenset()
    gives: object = None

    @property
    def after(self) -> State:
        return {key: data for key, data in {**BEFORE, **self.changes}.items() if key not in self.removes}


def _read(project: Served, backend: SupabaseBackend) -> bytes:
    with backend.read(HERE, 1, len(SOUND) - 1) as stream:
        return b"".join(stream)


def _sign(project: Served, backend: SupabaseBackend) -> set[Key]:
    return set(backend.sign([HERE, NEW], expires=timedelta(hours=1)))


def _grant(project: Served, backend: SupabaseBackend) -> str:
    hour = timedelta(hours=1)
    return backend.sign_upload(NEW, size=5, content_type="audio/wav", expires=hour, reservation="r").method


def _exists(project: Served, backend: SupabaseBackend) -> tuple[bool, bool]:
    return backend.exists(HERE), backend.exists(NEW)


def _open(project: Served, backend: SupabaseBackend) -> bytes:
    with backend.open(HERE) as file:
        file.seek(1)
        return file.read(len(SOUND) - 2)


def _write_in_chunks(project: Served, resume: str | None = None, progress: Progress | None = None) -> int:
    with closing(project.backend(tus_threshold=0, chunk_size=40 * KIB)) as backend:
        return backend.write(NEW, project.stage(SOUND), resume=resume, progress=progress).size


def _break_off(project: Served) -> None:
    def progress(done: int, resume: str | None) -> None:
        project.resume = resume
        if done > 40 * KIB:
            raise InterruptedError

    with suppress(InterruptedError):
        _write_in_chunks(project, progress=progress)


def _write_on(project: Served) -> int:
    return _write_in_chunks(project, project.resume)


INFO = "GET /object/info/*"
ACTS = {
    "write": Act(
        "write",
        lambda project, backend: backend.write(NEW, project.stage(SOUND)).size,
        ("POST /object/*", INFO),
        changes={NEW: SOUND},
        gives=len(SOUND),
    ),
    "write in chunks": Act(
        "write",
        lambda project, backend: _write_in_chunks(project),
        ("POST /upload/resumable", "PATCH /upload/resumable/*", INFO),
        changes={NEW: SOUND},
        gives=len(SOUND),
    ),
    "write that goes on": Act(
        "write",
        lambda project, backend: _write_on(project),
        ("HEAD /upload/resumable/*", "PATCH /upload/resumable/*", INFO),
        prepare=_break_off,
        changes={NEW: SOUND},
        gives=len(SOUND),
    ),
    "read": Act("read", _read, ("GET /object/*",), gives=SOUND[1:-1]),
    "stat": Act("stat", lambda project, backend: backend.stat(HERE).size, (INFO,), gives=len(SOUND)),
    "delete": Act(
        "delete",
        lambda project, backend: backend.delete([HERE, NEW]),
        ("DELETE /object/*",),
        removes=frozenset({HERE}),
        gives={HERE},
    ),
    "list": Act(
        "list",
        lambda project, backend: [each.key for each in backend.list("alice")],
        ("POST /object/list-v2/*",),
        gives=[HERE, THERE],
    ),
    "copy": Act(
        "copy",
        lambda project, backend: backend.copy(HERE, NEW).key,
        ("POST /object/copy", INFO),
        changes={NEW: SOUND},
        gives=NEW,
    ),
    "move": Act(
        "move",
        lambda project, backend: backend.move(HERE, NEW).key,
        ("POST /object/move", INFO),
        changes={NEW: SOUND},
        removes=frozenset({HERE}),
        gives=NEW,
    ),
    "sign": Act("sign", _sign, ("POST /object/sign/*",), gives={HERE}),
    "sign_upload": Act("sign_upload", _grant, ("POST /object/upload/sign/*",), gives="PUT"),
    "exists": Act("exists", _exists, (INFO,), gives=(True, False)),
    "open": Act("open", _open, (INFO, "GET /object/audio-files/*"), gives=SOUND[1:-1]),
    "delete_prefix": Act(
        "delete_prefix",
        lambda project, backend: backend.delete_prefix("alice"),
        ("POST /object/list-v2/*", "DELETE /object/*"),
        removes=frozenset({HERE, THERE}),
        gives=2,
    ),
    "ensure_bucket": Act(
        "ensure_bucket",
        lambda project, backend: backend.ensure_bucket(types=(), change=False).existed,
        ("GET /bucket/*",),
        gives=True,
    ),
}
WITHOUT_REQUESTS = {"close"}
"""Methods that ask the server nothing."""
