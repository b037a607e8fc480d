"""Which sections' audio is missing or broken: looked at side by side, and never for longer than a page waits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from audiostore import AudioStore, NotFound, PermissionDenied, Unavailable, UnsupportedAudio
from audiostore.audio import probe

Status = Literal["ok", "missing", "unreadable", "unknown"]
MOST = 200
"""Sections that one request looks at."""
SECONDS = 10.0
_TOGETHER = 8


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A path that the saved project names, and where."""

    path: str
    chapter: str | None = None
    section: str | None = None


@dataclass(frozen=True, kw_only=True)
class Checker:
    """Looks at recordings of *store*, and *original* ones; *seconds* bound one batch."""

    store: AudioStore
    original: Callable[[str, str], Path | None]
    seconds: float = SECONDS

    def check(self, owner: str, spots: Sequence[Spot]) -> list[dict[str, Any]]:
        """Tell of each of *spots* whether it can play; what is not found out in time is ``unknown``.

        ``missing`` is only said where that is sure: a project must not lose its audio to an outage.
        """
        deadline = time.monotonic() + self.seconds
        pool = ThreadPoolExecutor(_TOGETHER, thread_name_prefix="check")
        try:
            looks = [pool.submit(self._look, owner, spot.path, deadline) for spot in spots]
            wait(looks, timeout=max(0.0, deadline - time.monotonic()))
            found = [look.result() if look.done() else ("unknown", None) for look in looks]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # who still waits for a server ends by himself
        return [
            {
                "path": spot.path,
                "status": status,
                "chapter_id": spot.chapter,
                "section_id": spot.section,
                "upload_id": file,
            }
            for spot, (status, file) in zip(spots, found, strict=True)
        ]

    def _look(self, owner: str, path: str, deadline: float) -> tuple[Status, str | None]:
        found = None
        try:
            if time.monotonic() >= deadline:
                return "unknown", None
            if old := self.original(path, owner):
                probe(old, isolated=True)  # nobody has looked at it when it came
                return "ok", None
            file = self.store.find(path=path, owner=owner)
            found = file.id
            if self.store.stat(file).size != file.size:
                return "unreadable", found
            with self.store.open(file) as content:
                probe(content)
        except NotFound:
            return "missing", found
        except UnsupportedAudio:
            return "unreadable", found
        except (Unavailable, PermissionDenied):
            return "unknown", found
        return "ok", found


def spots_of(project: object) -> list[Spot]:
    """Give what a project's JSON names, in its order; what is not of that shape names nothing."""
    return [
        Spot(path=path, chapter=_id(chapter), section=_id(section))
        for chapter in _each(project, "chapters")
        for section in _each(chapter, "sections")
        if (path := _text(section, "audioPath"))
    ]


def _each(value: object, name: str) -> list[object]:
    found: object = cast("Mapping[str, object]", value).get(name) if isinstance(value, Mapping) else None
    return cast("list[object]", found) if isinstance(found, list) else []


def _id(value: object) -> str | None:
    found: object = cast("Mapping[str, object]", value).get("id") if isinstance(value, Mapping) else None
    return str(found) if isinstance(found, str | int) else None


def _text(value: object, name: str) -> str | None:
    found: object = cast("Mapping[str, object]", value).get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) and found else None


def counted(results: Iterable[dict[str, Any]]) -> dict[str, int]:
    counts = Counter(each["status"] for each in results)
    return {status: counts[status] for status in ("ok", "missing", "unreadable", "unknown")}
