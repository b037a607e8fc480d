"""A ZIP that is made while it is sent: nothing is written to a disk, and its length is known before its first byte.

Entries are stored as they are, since audio can't be made smaller; names are UTF-8; what is large is ZIP64.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from audiostore.errors import ChecksumMismatch, from_os_error
from audiostore.streams import CHUNK, ByteStream

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MODE = 0o100644
# The fixed parts of APPNOTE.TXT 4.3, with what zipfile writes into them for a sink that can't seek.
_LOCAL, _CENTRAL, _END, _ZIP64_END = 30, 46, 22, 56 + 20
_DESCRIPTOR, _DESCRIPTOR64 = 16, 24
_LOCAL_EXTRA64, _EXTRA_HEAD, _EXTRA_FIELD = 20, 4, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a ZIP: the name it gets (with ``/`` for folders), and the bytes that it must have."""

    name: str
    path: Path
    size: int


class ZipStream(ByteStream):
    """The bytes of a ZIP file, chunk by chunk; ``length`` in all, and the ``filename`` it should be saved under.

    Files are opened one after another, when their turn comes. One that is not as long as it was ends the stream with
    ChecksumMismatch (NotFound if it is gone): the reader sees that the length is short. Close it if you stop early.
    """

    content_type = "application/zip"

    def __init__(self, entries: Iterable[Entry], *, filename: str, modified_at: datetime) -> None:
        self.filename = filename
        listed = tuple(entries)
        # ZIP counts years from 1980 on, seconds in twos, and knows no zones.
        stamp = (max(1980, modified_at.year), *modified_at.timetuple()[1:6])
        chunks = _written(listed, stamp)
        super().__init__(chunks, _length(listed), chunks.close)


class _Sink(io.RawIOBase):
    """What ``zipfile`` writes to: it can't seek, and its bytes are taken away after each step."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        chunk = bytes(data)
        self._chunks.append(chunk)
        return len(chunk)

    def take(self) -> Iterator[bytes]:
        chunks, self._chunks = self._chunks, []
        return (each for each in chunks if each)


def _written(entries: Sequence[Entry], stamp: tuple[int, ...]) -> Generator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # pyright: ignore[reportArgumentType]
        for entry in entries:
            info = zipfile.ZipInfo(entry.name, stamp)  # type: ignore[arg-type]
            info.external_attr = _MODE << 16
            info.file_size = entry.size
            with _open(entry) as source, archive.open(info, "w", force_zip64=_needs_room(entry.size)) as target:
                left = entry.size
                while left and (chunk := source.read(min(CHUNK, left))):
                    target.write(chunk)
                    left -= len(chunk)
                    yield from sink.take()
                if left or source.read(1):
                    raise ChecksumMismatch(
                        entry.name, expected=f"{entry.size} bytes", actual="fewer" if left else "more"
                    )
            yield from sink.take()
    yield from sink.take()


def _open(entry: Entry) -> io.BufferedReader:
    try:
        return entry.path.open("rb")
    except OSError as error:
        raise from_os_error(error, entry.name) from error


def _needs_room(size: int) -> bool:
    # zipfile leaves room for 64 bits a little earlier than it must, and so do we.
    return size * 1.05 > zipfile.ZIP64_LIMIT


def _length(entries: Sequence[Entry]) -> int:
    """Count what ``_written`` gives: of stored entries, nothing depends on their bytes."""
    at, directory = 0, 0
    for entry in entries:
        name, large = len(entry.name.encode()), _needs_room(entry.size)
        fields = (2 if entry.size > zipfile.ZIP64_LIMIT else 0) + (1 if at > zipfile.ZIP64_LIMIT else 0)
        directory += _CENTRAL + name + (_EXTRA_HEAD + _EXTRA_FIELD * fields if fields else 0)
        at += _LOCAL + name + entry.size + (_LOCAL_EXTRA64 + _DESCRIPTOR64 if large else _DESCRIPTOR)
    many = len(entries) > zipfile.ZIP_FILECOUNT_LIMIT
    large = many or at > zipfile.ZIP64_LIMIT or directory > zipfile.ZIP64_LIMIT
    return at + directory + _END + (_ZIP64_END if large else 0)
