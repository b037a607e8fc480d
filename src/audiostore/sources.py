"""What a caller may hand to ``put``: told by shape, so that no framework needs to be imported."""

from __future__ import annotations

import inspect
import io
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias, cast

from audiostore.errors import NotFound, from_os_error
from audiostore.models import Metadata, PlaceId, parse_text


class Readable(Protocol):
    """Any binary file object: ``BytesIO``, an open file, ``SpooledTemporaryFile``, a request's body stream."""

    def read(self, size: int = ..., /) -> bytes: ...


Source: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | Readable | Iterable[bytes] | Any
"""Bytes, a path (a ``str`` **is** a path), a binary file object, an iterable of bytes, a Werkzeug ``FileStorage``
or a Starlette ``UploadFile``. (``Any`` is there because frameworks' objects are told by shape.)"""


@dataclass(frozen=True, slots=True)
class NewFile:
    """One file for ``put_many``: a source, and what else ``put`` takes; a place that is not given is the batch's."""

    source: Source
    _: KW_ONLY
    project: PlaceId = None
    chapter: PlaceId = None
    section: PlaceId = None
    filename: str | None = None
    content_type: str | None = None
    metadata: Metadata | None = None
    idempotency_key: str | None = None
    move: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """What ``put`` takes besides the source."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "source"}


def as_new_file(item: NewFile | Source, project: PlaceId, chapter: PlaceId, section: PlaceId) -> NewFile:
    """Give an item of a batch with its place; what it does not say of that is the batch's."""
    file = item if isinstance(item, NewFile) else NewFile(item)
    return replace(
        file,
        project=project if file.project is None else file.project,
        chapter=chapter if file.chapter is None else file.chapter,
        section=section if file.section is None else file.section,
    )


BLOCK = 1024 * 1024
"""Bytes read at a time. Larger blocks only cost memory: hashing and writing are already the bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A source that is being read: ``readinto`` or ``blocks`` gives the bytes; ``size`` if it is known before."""

    blocks: Iterator[bytes | memoryview]
    filename: str | None = None
    size: int | None = None
    path: Path | None = None


@contextmanager
def opened(source: Source) -> Generator[Opened]:
    """Read *source* from where it stands.

    A file object of the caller is neither closed nor left elsewhere: if it can seek, it is put back.

    Raises:
        TypeError: no kind of source, or one that gives text, or one that must be awaited.
        NotFound, PermissionDenied: a path that can't be read. ValueError: a path to something that is no file.

    """
    if isinstance(source, bytes | bytearray | memoryview):
        view = memoryview(cast("bytes", source)).cast("B")
        yield Opened(blocks=_slices(view), size=len(view))
    elif isinstance(source, str | os.PathLike):
        path = Path(cast("str | os.PathLike[str]", source))
        with _open_path(path) as file:
            yield Opened(blocks=_blocks(file), filename=path.name, size=os.fstat(file.fileno()).st_size, path=path)
    else:
        file, filename = _file_of(source)
        if file is None:
            yield Opened(blocks=_checked(iter(cast("Iterable[bytes]", source))), filename=filename)
            return
        position = _position(file)
        try:
            yield Opened(blocks=_blocks(file), filename=filename, size=_remaining(file, position))
        finally:
            if position is not None and not getattr(file, "closed", False):
                file.seek(position)


def _file_of(source: Any) -> tuple[Any, str | None]:
    # Werkzeug keeps the real file in .stream, Starlette in .file; both bear the name people gave the file. A plain
    # file is told before: GzipFile has a .filename as well, and it is deprecated.
    uploaded = not isinstance(source, io.IOBase) and hasattr(source, "filename")
    named: object = getattr(source, "filename" if uploaded else "name", None)
    for inner in ("stream", "file"):
        file = getattr(source, inner, None)
        if uploaded and callable(getattr(file, "read", None)):
            return file, base_name(named)
    read = getattr(source, "read", None)
    if inspect.iscoroutinefunction(read) or hasattr(source, "__aiter__"):
        raise TypeError(f"{type(source).__name__} must be awaited; give its bytes, or use the asynchronous store")
    if callable(read):
        return source, base_name(named)
    if isinstance(source, Iterable):
        return None, None
    raise TypeError(f"can't read audio from {type(source).__name__}: give bytes, a path, a binary file or an iterable")


def base_name(name: object) -> str | None:
    """Give the last part of a filename that somebody else made up, or None where there is none.

    Raises:
        ValueError: a NUL, or text that UTF-8 can't hold.

    """
    # An int is a file descriptor's "name", and "<stdin>" is none either. Browsers of old sent C:\\paths.
    if not isinstance(name, str) or (name.startswith("<") and name.endswith(">")):
        return None
    base = name.replace("\\", "/").rpartition("/")[2]
    return parse_text("filename", base) if base else None


def _position(file: Any) -> int | None:
    seekable = getattr(file, "seekable", None)
    return int(file.tell()) if callable(seekable) and seekable() else None


def _remaining(file: Any, position: int | None) -> int | None:
    # Only of files whose end is cheap to find: a compressed one would unpack itself, bomb or not, to tell.
    plain = isinstance(file, io.BytesIO | io.FileIO) or isinstance(getattr(file, "raw", None), io.FileIO)
    if position is None or not (plain or type(file).__module__ == "tempfile"):
        return None
    file.seek(0, os.SEEK_END)
    end = int(file.tell())
    file.seek(position)
    return max(0, end - position)


@contextmanager
def _open_path(path: Path) -> Generator[BinaryIO]:
    try:
        # A FIFO would block for ever without O_NONBLOCK, before anyone could see that it is no file.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(str(path)) from error
    except OSError as error:
        raise from_os_error(error, str(path)) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError(f"not a file: {path}")
    with os.fdopen(fd, "rb", buffering=0) as file:
        yield cast("BinaryIO", file)


def _slices(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), BLOCK):
        yield view[start : start + BLOCK]


def _blocks(file: Any) -> Iterator[bytes | memoryview]:
    readinto: Callable[[bytearray], int | None] | None = getattr(file, "readinto", None)
    if readinto is None:
        yield from _checked(iter(lambda: file.read(BLOCK), b""))
        return
    # One buffer for the whole file: each block is used up before the next one is read.
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    while count := readinto(buffer):
        yield view[:count]


def _checked(blocks: Iterator[Any]) -> Iterator[bytes | memoryview]:
    for block in blocks:
        if not isinstance(block, bytes | bytearray | memoryview):
            raise TypeError(f"a source gives bytes, not {type(block).__name__}; open files in binary mode")
        yield from _slices(memoryview(cast("bytes", block)).cast("B"))
