"""The words of the library as values: what is stored, what is asked for, what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, TypeAlias, final

from audiostore.keys import Key

PlaceId: TypeAlias = str | int | None
"""A project, chapter or section id as a host app has it; kept as ``str(value)``."""

Metadata: TypeAlias = Mapping[str, Any]
"""What the app wants to remember with a file; anything JSON can hold."""


@final
class Unset:
    """The type of ``UNSET``: an argument that was not given, where ``None`` means something."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a book: project, chapter, section. Any of them may be missing (``None``)."""

    project: str | None = None
    chapter: str | None = None
    section: str | None = None

    @classmethod
    def of(cls, project: PlaceId = None, chapter: PlaceId = None, section: PlaceId = None) -> Place:
        """Parse ids as apps have them.

        >>> Place.of("p1", 3, 0)
        Place(project='p1', chapter='3', section='0')

        Raises:
            ValueError: an id that is empty text.
            TypeError: an id that is neither text nor an int.
        """
        return cls(_place_id("project", project), _place_id("chapter", chapter), _place_id("section", section))


ANYWHERE: Final = Place()
"""No place in particular: as a filter, it does not restrict."""


def _place_id(name: str, value: PlaceId) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name} is text or an int, not {type(value).__name__}")
    return parse_text(name, str(value))


def parse_text(name: str, value: str) -> str:
    """Return *value* if a catalog can keep it: text, not empty, without NUL or lone surrogates.

    Raises:
        TypeError: not text.
        ValueError: empty, a NUL, or text that UTF-8 can't hold.
    """
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name} is text, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} is empty")
    if "\0" in value:
        raise ValueError(f"{name} holds a NUL")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} is not valid Unicode text") from error
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFile:
    """A stored file, as the catalog recorded it. A value: it does not change when the record does.

    ``size`` is bytes, ``duration`` float seconds (``None`` until something measured it), ``sha256`` a hex digest
    (``None`` only for direct uploads whose bytes never passed through this process), ``created_at`` aware UTC.
    ``filename`` is the name people gave it, in any language; ``key`` is where the bytes are, in ``backend``.
    """

    id: str
    owner: str
    project: str | None
    chapter: str | None
    section: str | None
    filename: str
    key: Key
    backend: str
    size: int
    sha256: str | None
    content_type: str
    duration: float | None
    created_at: datetime
    metadata: Metadata = field(default_factory=dict[str, Any], hash=False)

    @property
    def place(self) -> Place:
        return Place(self.project, self.chapter, self.section)

    def as_dict(self) -> dict[str, Any]:
        """Give every fact as JSON can hold it, ``created_at`` in ISO 8601."""
        facts = {each.name: getattr(self, each.name) for each in fields(self)}
        return facts | {
            "key": str(self.key),
            "created_at": self.created_at.isoformat(),
            "metadata": dict(self.metadata),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What a path builder sees: everything that is known before there is a key. ``id`` is unique, for ever."""

    id: str
    owner: str
    place: Place
    filename: str
    content_type: str
    size: int
    sha256: str | None = None

    @property
    def suffix(self) -> str:
        """The filename's last suffix, lower case, with its dot; empty when there is none."""
        return PurePosixPath(self.filename).suffix.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an owner may keep. ``None`` is unlimited, 0 is nothing.

    ``total`` and ``per_file`` are bytes, ``files`` a count, ``types`` media types: ``audio/mpeg``, ``audio/*``.
    """

    total: int | None = None
    per_file: int | None = None
    files: int | None = None
    types: frozenset[str] | None = None

    def __and__(self, other: Limits) -> Limits:
        """Take the tighter of the two, number by number."""
        return Limits(
            total=_tighter(self.total, other.total),
            per_file=_tighter(self.per_file, other.per_file),
            files=_tighter(self.files, other.files),
            types=_both(self.types, other.types),
        )


def _tighter(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    # "audio/*" and "audio/mpeg" meet in "audio/mpeg".
    kept = {each for each in one if allows(other, each)} | {each for each in other if allows(one, each)}
    return frozenset(kept)


def allows(types: frozenset[str], content_type: str) -> bool:
    """Tell whether *content_type* is in *types* (``audio/*`` and ``*/*`` stand for all of a kind)."""
    kind = content_type.partition("/")[0]
    return bool(types & {content_type, f"{kind}/*", "*/*"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One owner's own numbers, above every policy, until ``until`` (``None``: for good).

    Fields that are not given are the policy's.
    """

    total: int | Unset | None = UNSET
    per_file: int | Unset | None = UNSET
    files: int | Unset | None = UNSET
    until: datetime | None = None

    def over(self, limits: Limits) -> Limits:
        """Give *limits* with this override's numbers in place of theirs."""
        given = {name: getattr(self, name) for name in ("total", "per_file", "files")}
        return replace(limits, **{name: value for name, value in given.items() if value is not UNSET})


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """An owner's limits in force, and where they come from: the policy's, under the override's (each may be None)."""

    limits: Limits
    policy: Limits | None
    override: Override | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an owner has and may have, in bytes; ``limits`` are the ones in force, overrides included."""

    used: int
    reserved: int
    files: int
    pending: int = 0
    limits: Limits = field(default_factory=Limits)

    @property
    def quota(self) -> int | None:
        """The bytes this owner may keep; ``None`` is unlimited."""
        return self.limits.total

    @property
    def available(self) -> int | None:
        """The bytes that still fit, never below 0; ``None`` is unlimited."""
        return None if self.quota is None else max(0, self.quota - self.used - self.reserved)

    @property
    def percent(self) -> float | None:
        """How full, used and reserved together; ``None`` when unlimited, 100.0 at a quota of 0."""
        if self.quota is None:
            return None
        return 100.0 if self.quota == 0 else round(100 * (self.used + self.reserved) / self.quota, 1)

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("used", "reserved", "quota", "available", "files", "percent")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectUsage:
    """What one project of an owner takes of its room: ``used`` in bytes, and how many ``files``."""

    used: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Bytes at hand, measured and not yet stored; what a processor takes and gives.

    ``disposable`` is true for a file in our staging place, which a backend may publish as it is; false for a
    caller's own file, which may only be read. A processor writes beside ``path`` and gives
    ``staged.become(new_path, filename=…)``, or the same staged file with more facts.

    ``proof`` tells who sees to it that what is stored is what was staged. ``write``: the backend. ``etag``: the caller,
    by that of the object as ``write`` found it. ``read``: the caller, who reads it back; the backend then needs not
    look. In both of these it needs not hash what it sends, and the size is still its own to compare.
    """

    path: Path
    size: int
    sha256: str
    content_type: str
    filename: str
    disposable: bool = True
    duration: float | None = None
    metadata: Metadata = field(default_factory=dict[str, Any], hash=False)
    proof: Literal["write", "etag", "read"] = "write"

    def become(self, path: Path, *, filename: str | None = None, **facts: Any) -> Staged:
        """Point to a processor's output; the store measures its size, sha256 and type itself."""
        return replace(self, path=path, filename=filename or self.filename, disposable=True, **facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStat:
    """One object as its backend sees it; size in bytes, ``modified_at`` aware UTC."""

    key: Key
    size: int
    modified_at: datetime
    etag: str | None = None
    content_type: str | None = None


class SignedUrl(str):
    """A link that works until ``expires_at`` (aware UTC). It is a ``str``: hand it to a template or a JSON answer."""

    expires_at: datetime
    __slots__ = ("expires_at",)

    def __new__(cls, url: str, expires_at: datetime) -> SignedUrl:
        self = super().__new__(cls, url)
        self.expires_at = expires_at
        return self

    def __getnewargs__(self) -> tuple[str, datetime]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return str(self), self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumableGrant:
    """What a TUS 1.0.0 client needs; in tus-js-client: ``endpoint``, ``headers``, ``metadata``, ``chunkSize``."""

    url: str
    headers: Mapping[str, str] = field(hash=False, repr=False)
    metadata: Mapping[str, str] = field(hash=False)
    chunk_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadGrant:
    """Leave to upload one file straight to where it will live: send *method* to *url* with *headers* and the bytes,
    before ``expires_at``; then call ``finish_upload`` with this grant or with ``reservation``.

    ``resumable``, where the backend has it, is another way to send the same bytes: one that goes on after a break.
    """

    url: str
    method: str
    headers: Mapping[str, str] = field(hash=False)
    expires_at: datetime
    reservation: str
    resumable: ResumableGrant | None = None


ReservationState: TypeAlias = Literal["pending", "committed", "released", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Room that is taken for bytes that are on their way. Its ``file_id`` is the id the file will have.

    ``charged`` is what the ledger holds for it: ``size`` for a new file, the growth for a replacement.
    ``resume`` is what a backend said it needs to go on where it broke off.
    """

    id: str
    owner: str
    place: Place
    filename: str
    key: Key
    backend: str
    size: int
    charged: int
    state: ReservationState
    file_id: str
    replaces: str | None
    sha256: str | None
    content_type: str
    metadata: Metadata = field(hash=False)
    resume: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """An object that must go: queued by the catalog in the same decision that made it superfluous."""

    id: str
    backend: str
    key: Key
    owner: str | None = None
    attempts: int = 0
