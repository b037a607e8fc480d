"""Path builders: under which key an upload's bytes are kept.

A key is for machines: ids are escaped so that two different ones never share a folder, on no disk, whatever they
are written in; the name that people gave the file is in the record, and comes back on download.

An id becomes one segment of ``a-z 0-9 . _ - = !``:

- these letters, digits and ``. _ -`` are kept;
- ``B`` is ``!b``, since on a disk that ignores case Bob and bob would share a folder;
- every other byte of its UTF-8 is ``=xx``, and so is what would make a segment odd somewhere: a ``-`` or ``.`` in
  front, a ``.`` at the end, the first letter of a segment that would be a name that Windows reserves;
- an id whose escaped form is longer than 120 characters (less where a segment holds several) is cut, with ``==``
  and a digest behind. That can't be turned back: the record has the id in full;
- a missing project, chapter or section is ``-``, which no id can be.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import NamedTuple

from audiostore.errors import ConfigurationError, InvalidKey
from audiostore.keys import _RESERVED, MAX_SEGMENT, Key
from audiostore.models import Place, Upload, parse_text


class Location(NamedTuple):
    """Whose bytes a key holds, and where in a book they belong: ``owner, place = builder.parse(key)``."""

    owner: str
    place: Place


class TemplatePath:
    """Keys after a pattern of your own.

    >>> upload = Upload(id="0199aa11-2233-7445-8667-8899aabbccdd", owner="Bob", place=Place("p 1", "3", None),
    ...                 filename="Größe.MP3", content_type="audio/mpeg", size=9)
    >>> paths = TemplatePath("{owner}/{project}/{chapter}-{section}/{name}")
    >>> paths(upload)
    '!bob/p=201/3--/grosse-86678899aabbccdd.mp3'
    >>> paths.parse(paths(upload))
    Location(owner='Bob', place=Place(project='p 1', chapter='3', section=None))

    The fields: ``owner`` (always wanted), ``project``, ``chapter``, ``section``; and of the upload ``name`` (readable
    and unique), ``id`` (unique), ``stem`` (readable), ``suffix`` (with its dot, or nothing). One of ``name`` and
    ``id`` is wanted. Within one segment, ids come first, each followed by text with a mark such as ``-`` or ``_``.
    Places that differ only in a field that is left out share a folder.

    Raises:
        ConfigurationError: a template that could not keep two ids apart, or that makes no portable key.
    """

    def __init__(self, template: str) -> None:
        self.template = template
        self._segments = [_Segment(part) for part in template.split("/")]
        self._check()

    def __call__(self, upload: Upload) -> Key:
        """Make the key of an upload. Raises InvalidKey for an id that is empty, holds a NUL or is no Unicode text."""
        return self._render(_facts(Location(upload.owner, upload.place)) | _names(upload))

    def parse(self, key: str) -> Location:
        """Give back whose key this is, and the place in the book; fields that the template leaves out are None.

        Raises:
            InvalidKey: not a key of this template, or one that holds a shortened id.
        """
        key = Key(key)
        parts = key.split("/")
        if len(parts) != len(self._segments):
            raise InvalidKey(key, f"not of the shape {self.template}")
        found: dict[str, str] = {}
        for segment, part in zip(self._segments, parts, strict=True):
            values = segment.read(part)
            if values is None:
                raise InvalidKey(key, f"not of the shape {self.template}")
            found |= values
        ids = {name: _unescape(key, found[name]) for name in _IDS if name in found}
        owner = ids.pop("owner")
        if owner is None:
            raise InvalidKey(key, "without an owner")
        location = Location(owner, Place(**ids))
        # One id has one form: a key that another spelling would give was not made here.
        if self._render({**found, **_facts(location)}) != key:
            raise InvalidKey(key, "an id that is not escaped as it should be")
        return location

    def __repr__(self) -> str:
        return f"TemplatePath({self.template!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TemplatePath) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash(self.template)

    def __reduce__(self) -> tuple[type[TemplatePath], tuple[str, ...]]:
        return type(self), (self.template,)

    def _render(self, values: Mapping[str, str | None]) -> Key:
        return Key("/".join(segment.render(values) for segment in self._segments))

    def _check(self) -> None:
        fields = [field for segment in self._segments for field in segment.fields]
        if "owner" not in fields:
            raise ConfigurationError(f"path template {self.template!r}: {{owner}} is missing")
        if not {"name", "id"} & {*fields}:
            raise ConfigurationError(f"path template {self.template!r}: {{name}} or {{id}} is missing")
        if twice := {field for field in fields if fields.count(field) > 1}:
            raise ConfigurationError(f"path template {self.template!r}: {{{min(twice)}}} occurs more than once")
        try:
            # The shortest and the longest that each field can be: if both are keys, all are.
            self._render(dict.fromkeys(_IDS, "a") | _SHORTEST)
            self._render(dict.fromkeys(_IDS, "a" * (_MAX_ID + 1)) | _LONGEST)
        except InvalidKey as error:
            raise ConfigurationError(f"path template {self.template!r}: {error.reason}") from None


class ChapterSectionPath(TemplatePath):
    """``owner/project/chapter_3/section_4/take-86678899aabbccdd.mp3``: a folder for each place of a book."""

    def __init__(self) -> None:
        super().__init__("{owner}/{project}/chapter_{chapter}/section_{section}/{name}")

    def __repr__(self) -> str:
        return "ChapterSectionPath()"

    def __reduce__(self) -> tuple[type[TemplatePath], tuple[str, ...]]:
        return type(self), ()


_IDS = ("owner", "project", "chapter", "section")
_STEM = "[a-z0-9]+(?:-[a-z0-9]+)*"
_SUFFIX = r"(?:\.[a-z0-9]{1,8})?"
_PATTERNS = {"name": f"{_STEM}-[0-9a-f]{{16}}{_SUFFIX}", "id": "[0-9a-f-]{36}", "stem": _STEM, "suffix": _SUFFIX}
_MIN_ID, _MAX_ID, _MAX_STEM, _MAX_SUFFIX = 40, 120, 60, 8
_SHORTEST = {"name": "a-" + 16 * "0", "id": 36 * "0", "stem": "a", "suffix": ""}
_LONGEST = {
    "name": "a" * _MAX_STEM + "-" + 16 * "0" + "." + "a" * _MAX_SUFFIX,
    "id": 36 * "0",
    "stem": "a" * _MAX_STEM,
    "suffix": "." + "a" * _MAX_SUFFIX,
}


class _Segment:
    """One segment of a template: literal text and fields, and the pattern that finds the fields again.

    Reading goes from left to right: an id ends at the first mark of the segment's own text, because those marks are
    escaped within its ids; what people named (``stem``, ``name``) may hold marks and therefore comes last.
    """

    def __init__(self, template: str) -> None:
        self.pieces = list(_pieces(template)) or [("", "")]
        self.fields = [field for _, field in self.pieces if field]
        self.marks = self._marks(template)
        self.longest = self._longest(template)
        kept = "a-z0-9=!" + "".join(each for each in "._-" if each not in self.marks)
        patterns = dict.fromkeys(_IDS, f"-|(?!-)[{kept}]+") | _PATTERNS
        self.pattern = re.compile(
            "".join(
                re.escape(text) + (f"(?P<{field}>{patterns[field]})" if field else "") for text, field in self.pieces
            )
        )

    def render(self, values: Mapping[str, str | None]) -> str:
        parts = [(text, self._value(field, values)) for text, field in self.pieces]
        whole = "".join(text + value for text, value in parts)
        text, value = parts[0]
        if value and _RESERVED.fullmatch(whole):
            # A value alone, or together with the text, as "c{chapter}" with "on" does.
            return f"{text}={ord(value[0]):02x}{whole[len(text) + 1 :]}"
        return whole

    def read(self, part: str) -> dict[str, str] | None:
        """Find the fields again, still escaped; None if *part* was not made here."""
        at = len(self.pieces[0][0])
        if part[at : at + 1] == "=" and (escaped := _ESCAPED.match(part.encode(), at)):
            freed = part[:at] + chr(int(escaped[1], 16)) + part[escaped.end() :]
            part = freed if _RESERVED.fullmatch(freed) else part
        match = self.pattern.fullmatch(part)
        return match and match.groupdict()

    def _value(self, field: str, values: Mapping[str, str | None]) -> str:
        value = values[field] if field else ""
        return _escape(value, self.marks, self.longest) if field in _IDS else value or ""

    def _marks(self, template: str) -> frozenset[str]:
        marks: set[str] = set()
        seen = ""
        for text, field in self.pieces:
            if seen in _IDS and field:
                mark = next((each for each in text if not each.isalnum()), "")
                if not mark:
                    raise ConfigurationError(
                        f"path template: in {template!r} nothing like '-' or '_' parts {{{seen}}} from {{{field}}}"
                    )
                marks.add(mark)
            elif seen and field in _IDS:
                raise ConfigurationError(f"path template: in {template!r} {{{field}}} must come before {{{seen}}}")
            seen = field or seen
        return frozenset(marks)

    def _longest(self, template: str) -> int:
        """How long an escaped id may be, so that the segment is never too long."""
        ids = sum(field in _IDS for field in self.fields)
        if not ids:
            return _MAX_ID
        rest = sum(len(text) + len(_LONGEST.get(field, "")) for text, field in self.pieces)
        longest = min(_MAX_ID, (MAX_SEGMENT - rest) // ids)
        if longest < _MIN_ID:
            raise ConfigurationError(f"path template: {template!r} leaves no room for its ids")
        return longest


def _pieces(template: str) -> Iterator[tuple[str, str]]:
    """Split a template's segment into pairs of text and the field behind it (empty at the end)."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(f"path template: {template!r}: {error}") from None
    for text, field, form, conversion in parsed:
        if {"=", "!", "{", "}"} & {*text}:
            raise ConfigurationError(
                f"path template: {template!r} holds one of '=!{{}}', which mark escapes and fields"
            )
        if field is None:
            yield text, ""
        elif form or conversion or field not in (*_IDS, *_PATTERNS):
            known = ", ".join((*_IDS, *_PATTERNS))
            raise ConfigurationError(f"path template: unknown field in {template!r}; the fields are {known}")
        else:
            yield text, field


def _facts(location: Location) -> dict[str, str | None]:
    place = location.place
    ids = (location.owner, place.project, place.chapter, place.section)
    for name, value in zip(_IDS, ids, strict=True):
        if value is None and name != "owner":
            continue
        try:
            parse_text(name, value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        except ValueError as error:
            raise InvalidKey(str(value), str(error)) from None
    return dict(zip(_IDS, ids, strict=True))


_ESCAPES = [
    chr(each) if chr(each) in "abcdefghijklmnopqrstuvwxyz0123456789._-" else f"={each:02x}" for each in range(256)
]
_ESCAPES[ord("A") : ord("Z") + 1] = [f"!{chr(each).lower()}" for each in range(ord("A"), ord("Z") + 1)]
_DIGEST = 32
"""Letters of a shortened id's digest: 160 bits, so that not even chosen ids meet."""


def _escape(value: str | None, marks: frozenset[str], longest: int) -> str:
    if value is None:
        return "-"
    raw = value.encode()
    parts = [_ESCAPES[each] for each in raw]
    if marks:
        parts = [f"={ord(each):02x}" if each in marks else each for each in parts]
    for index, odd in ((0, "-."), (-1, ".")):
        if parts[index] in odd:
            parts[index] = f"={raw[index]:02x}"
    whole = "".join(parts)
    if len(whole) <= longest:
        return whole
    head = ""
    for part in parts:
        if len(head) + len(part) > longest - _DIGEST - 2:
            break
        head += part
    return f"{head}=={base64.b32encode(hashlib.sha256(raw).digest()).decode().lower()[:_DIGEST]}"


_ESCAPED = re.compile(rb"=([0-9a-f]{2})|!([a-z])")


def _unescape(key: str, text: str) -> str | None:
    if text == "-":
        return None
    if "==" in text:
        raise InvalidKey(key, "it holds a shortened id; the record has it in full")
    try:
        return _ESCAPED.sub(_letter, text.encode()).decode()
    except UnicodeDecodeError:
        raise InvalidKey(key, "an id that is not Unicode text") from None


def _letter(escaped: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escaped[1].decode()) if escaped[1] else escaped[2].upper()


def _names(upload: Upload) -> dict[str, str | None]:
    stem, suffix = _split(upload.filename)
    return {
        "name": f"{stem}-{_random(upload.id)}{suffix}",
        "id": upload.id if _UUID.fullmatch(upload.id) else _digest(upload.id)[:36],
        "stem": stem,
        "suffix": suffix,
    }


_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def _random(id: str) -> str:
    """Give the 62 random bits of a UUID of version 4 or 7, as they stand in it, so that a key can be found by them."""
    uuid = _UUID.fullmatch(id)
    return id[-17:].replace("-", "") if uuid and uuid[1] in "47" else _digest(id)[:16]


def _digest(id: str) -> str:
    return hashlib.sha256(id.encode(errors="surrogatepass")).hexdigest()


def _split(filename: str) -> tuple[str, str]:
    name = filename.replace("\\", "/").rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        return _slug(name), ""
    suffix = suffix.lower()
    return _slug(stem), dot + suffix if re.fullmatch("[a-z0-9]{1,8}", suffix) else ""


def _slug(stem: str) -> str:
    # Cut first: to put the accents of a long name in order takes quadratic time.
    plain = unicodedata.normalize("NFKD", stem[: 4 * _MAX_STEM].casefold()).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain).strip("-")[:_MAX_STEM].rstrip("-") or "audio"
