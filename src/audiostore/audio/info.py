"""What is known of a recording, and the table of formats. Nothing here decodes, so nothing here needs an extra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

# container -> demuxer, and the codecs that may be in it. Nothing that can name another file is among them.
_PCM = "pcm_u8 pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_f64le pcm_alaw pcm_mulaw adpcm_ms adpcm_ima_wav"
_BIG_ENDIAN = "pcm_s8 pcm_s16be pcm_s24be pcm_s32be pcm_f32be pcm_f64be"


@dataclass(frozen=True, slots=True)
class Container:
    """One kind of file that is read: the demuxer it is forced on, and the codecs that may be in it."""

    name: str
    demuxer: str
    codecs: frozenset[str]


def _container(name: str, demuxer: str, codecs: str) -> Container:
    return Container(name, demuxer, frozenset(codecs.split()))


_CONTAINERS = {
    "audio/wav": _container("wav", "wav", f"{_PCM} pcm_s16be"),
    "audio/mpeg": _container("mp3", "mp3", "mp3"),
    "audio/mp4": _container("mp4", "mov", "aac alac mp3 flac opus"),
    "audio/flac": _container("flac", "flac", "flac"),
    "audio/ogg": _container("ogg", "ogg", "vorbis opus flac speex"),
    "audio/aac": _container("aac", "aac", "aac"),
    "audio/aiff": _container("aiff", "aiff", f"{_BIG_ENDIAN} pcm_s16le pcm_alaw pcm_mulaw adpcm_ima_qt"),
    "audio/x-caf": _container("caf", "caf", f"{_PCM} {_BIG_ENDIAN} aac alac opus"),
    "audio/webm": _container("webm", "matroska", "opus vorbis"),
}
# Phones write the same boxes under brands of their own.
CONTAINERS: Mapping[str, Container] = MappingProxyType(
    _CONTAINERS | dict.fromkeys(("audio/3gpp", "audio/3gpp2", "video/quicktime"), _CONTAINERS["audio/mp4"])
)
"""Media type as it was sniffed -> what is read."""

_TYPES = {each.name: kind for kind, each in _CONTAINERS.items()}
_SYNONYMS = {"m4b": "m4a", "mp4": "m4a", "oga": "ogg", "aif": "aiff"}
FORMATS = frozenset({"wav", "mp3", "m4a", "flac", "ogg", "opus", "aac", "aiff", "caf", "webm"})
"""The words for formats, in ``accept`` and in ``AudioInfo.format``."""


def parse_formats(formats: object) -> frozenset[str]:
    """Give *formats* as words of ``FORMATS``; suffixes such as ``.M4B`` are understood.

    Raises:
        ValueError: a word that is no format that can be read. TypeError: no collection of words.

    """
    if isinstance(formats, str) or not isinstance(formats, set | frozenset | list | tuple):
        raise TypeError('formats is a set of words: {"wav", "mp3"}')
    words = {str(each).strip().lower().removeprefix(".") for each in formats}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    known = {_SYNONYMS.get(word, word) for word in words}
    if strange := sorted(known - FORMATS):
        raise ValueError(f"no format that can be read: {', '.join(strange)} (there are {', '.join(sorted(FORMATS))})")
    if not known:
        raise ValueError("formats is empty: nothing could be accepted")
    return frozenset(known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """A picture inside the file. Its size in pixels is what the header says; the picture is never decoded."""

    content_type: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """What a recording is. ``duration`` in seconds, ``sample_rate`` in Hz, ``bit_rate`` in bits per second.

    ``container`` is the kind of file (``wav mp3 mp4 flac ogg aac aiff caf webm``), ``codec`` what is in it
    (``pcm_s16le``, ``mp3``, ``aac``, ``opus`` …). ``bit_depth`` is ``None`` for codecs that have none. ``exact`` tells
    whether ``duration`` was counted by decoding, or is the header's.
    """

    container: str
    codec: str
    duration: float
    sample_rate: int
    channels: int
    bit_depth: int | None = None
    bit_rate: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    cover: Cover | None = None
    exact: bool = False

    @property
    def format(self) -> str:
        """The one word people use: ``m4a`` for the MPEG-4 container, ``opus`` for Opus in Ogg, else the container."""
        if self.container == "ogg" and self.codec == "opus":
            return "opus"
        return "m4a" if self.container == "mp4" else self.container

    @property
    def content_type(self) -> str:
        """The media type, e.g. ``audio/mpeg``."""
        return _TYPES[self.container]

    def is_among(self, formats: frozenset[str]) -> bool:
        """Tell whether this is one of *formats*; ``ogg`` stands for all that is in Ogg."""
        return self.format in formats or self.container in formats

    def as_dict(self) -> dict[str, Any]:
        """Give every fact as JSON can hold it."""
        return asdict(self) | {"tags": dict(self.tags), "format": self.format}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> AudioInfo:
        """Turn ``as_dict`` back."""
        given: dict[str, Any] = {name: value for name, value in facts.items() if name != "format"}
        cover = given.get("cover")
        given["cover"] = None if cover is None else Cover(**cover)
        return cls(**given)
