"""What must survive a kill: small JSON files that are whole or not there, finished chapters, and who is at work.

A chapter is kept under a digest of all that it is made of, so whatever is found under it is what would be made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audiostore.errors import AudioStoreError, from_os_error
from audiostore.export.results import MissingSection
from audiostore.ids import new_id

FETCHED, CHAPTERS = "fetched", "chapters"
"""Folders in a work folder: of sections on their way, and of the chapters that are finished."""
_STEP = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Sounding:
    """Where one section is heard in its chapter's file, in seconds."""

    section: int
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeChapter:
    """A chapter's finished audio in one format. ``missing`` are sections that turned out not to be readable."""

    path: Path
    to: str
    size: int
    duration: float
    sample_rate: int
    channels: int
    how: str
    sections: tuple[Sounding, ...]
    missing: tuple[MissingSection, ...]


class Journal:
    """The finished chapters in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with on_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def place(self, digest: str, suffix: str) -> Path:
        """Give the path where the chapter of this digest is to be made."""
        return self.folder / f"{digest}{suffix}"

    def find(self, digest: str, suffix: str) -> MadeChapter | None:
        """Give the chapter that was finished under this digest."""
        path, facts = self.place(digest, suffix), read_json(self._note(digest))
        if facts is None or not path.is_file() or path.stat().st_size != facts["size"]:
            return None
        facts["sections"] = tuple(Sounding(**each) for each in facts["sections"])
        facts["missing"] = tuple(MissingSection(**each) for each in facts["missing"])
        return MadeChapter(path=path, **facts)

    def keep(self, digest: str, chapter: MadeChapter) -> None:
        """Note that a chapter is finished: first its bytes are safe, then the note of them."""
        with on_disk(chapter.path):
            sync(chapter.path)
        write_json(self._note(digest), {name: value for name, value in asdict(chapter).items() if name != "path"})

    def _note(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"


def tidy(work: Path) -> bool:
    """Remove what a killed process left half-made in its work folder; whether there was anything."""
    found = False
    with on_disk(work):
        for each in [work / FETCHED, *work.rglob(".*")]:
            if each.is_dir():
                shutil.rmtree(each)
                found = True
            elif each.exists():  # not with a folder that is gone already
                each.unlink()
                found = True
    return found


def digest_of(facts: Any) -> str:
    """Give a digest of *facts*, any JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write_json(path: Path, value: Mapping[str, Any], *, durable: bool = True) -> None:
    """Write *value* to *path*, all or nothing; if *durable*, also if the power fails."""
    write_file(path, json.dumps(value, ensure_ascii=False).encode(), durable=durable)


def write_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write *content* to *path*, all or nothing; if *durable*, also if the power fails."""
    beside = path.with_name(f".{new_id()}.part")
    with on_disk(path):
        try:
            with beside.open("xb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            beside.replace(path)
            if durable:
                sync(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """Give what ``write_json`` wrote; None if there is nothing."""
    with on_disk(path):
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
    try:
        return dict(json.loads(content))
    except ValueError:  # not ours: what we write is whole
        return None


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(source: Path, target: Path) -> None:
    """Give the bytes of *source* a further name, over whatever has it; where that can't be, copy them."""
    # Not beside the target: what a kill leaves must lie where it is looked for.
    beside = source.with_name(f".{new_id()}.part")
    with on_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            try:
                os.link(source, beside)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(source, beside)
            sync(beside)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def claimed(folder: Path, *, patience: float = 0.0) -> Generator[bool]:
    """Tell whether *folder* is ours alone until the end of the block. The claim dies with the process.

    With *patience* (seconds) somebody who is only looking is waited for.
    """
    with on_disk(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Once it is ours it may yet have been removed, or replaced, between the two calls.
        yield _locked(handle, time.monotonic() + patience) and _is_still(folder, handle)
    finally:
        os.close(handle)


def _locked(handle: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_STEP)
        else:
            return True


def _is_still(folder: Path, handle: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


@contextmanager
def on_disk(path: Path) -> Generator[None]:
    """Translate what the operating system says about *path*."""
    try:
        yield
    except AudioStoreError:
        raise  # some of them are OSErrors too
    except OSError as error:
        raise from_os_error(error, str(path)) from error
