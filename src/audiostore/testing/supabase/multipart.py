"""Form bodies, as browsers and storage3 send them: fields, and one file that is passed on as it comes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Final

from audiostore.testing.supabase.wire import Body

_PARAMETER: Final = re.compile(r'\b(name|filename|boundary)=(?:"([^"]*)"|([^;\s]*))')


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """``fields`` are those before the file: what follows it is lost on the real server too."""

    fields: dict[str, str]
    content_type: str | None
    content: Iterator[bytes] | None


def boundary_of(content_type: str) -> bytes | None:
    if not content_type.lower().startswith("multipart/form-data"):
        return None
    return _parameters(content_type).get("boundary", "").encode()


def read_form(body: Body, boundary: bytes) -> Form:
    fields: dict[str, str] = {}
    reader = _Reader(body, boundary)
    while (described := reader.next_part()) is not None:
        named = _parameters(described.get("content-disposition", ""))
        if named.get("filename"):
            return Form(fields=fields, content_type=described.get("content-type"), content=reader.part())
        content = b"".join(reader.part()).decode(errors="replace")
        if "filename" not in named:
            fields[named.get("name", "")] = content
    return Form(fields=fields, content_type=None, content=None)


def media_type(content_type: str) -> str:
    """Give the bare type: of a part's header, unlike a raw body's, the parameters are dropped."""
    message = Message()
    message["content-type"] = content_type
    return message.get_content_type()


def _parameters(header: str) -> dict[str, str]:
    return {name: quoted or bare for name, quoted, bare in _PARAMETER.findall(header)}


class _Reader:
    def __init__(self, body: Body, boundary: bytes) -> None:
        self._pieces = iter(body)
        self._mark = b"\r\n--" + boundary
        self._over = False
        self._kept = b"\r\n"  # so that the first mark is like the others

    def next_part(self) -> dict[str, str] | None:
        for _ in self._until(self._mark):
            pass
        head = b"".join(self._until(b"\r\n"))
        if head.startswith(b"--") or self._over:
            return None
        lines = b""
        while line := b"".join(self._until(b"\r\n")):
            lines += line + b"\n"
        pairs = (line.partition(":") for line in lines.decode(errors="replace").splitlines())
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def part(self) -> Iterator[bytes]:
        yield from self._until(self._mark)
        self._kept = self._mark + self._kept

    def _until(self, mark: bytes) -> Iterator[bytes]:
        while (at := self._kept.find(mark)) < 0:
            sure = len(self._kept) - len(mark) + 1
            if sure > 0:
                yield self._kept[:sure]
                self._kept = self._kept[sure:]
            piece = next(self._pieces, None)
            if piece is None:
                rest, self._kept, self._over = self._kept, b"", True
                if rest:
                    yield rest
                return
            self._kept += piece
        found, self._kept = self._kept[:at], self._kept[at + len(mark) :]
        if found:
            yield found
