"""What the headers of each part tell, as far as it decides how they are joined. Nothing is decoded."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from audiostore.audio.engine import Reader, opened
from audiostore.audio.headers import check_outside, wav_audio, wav_speakers
from audiostore.audio.info import AudioInfo
from audiostore.audio.parts import Part
from audiostore.audio.transcoding import describe_headers
from audiostore.errors import NotFound, PermissionDenied, UnsupportedAudio

_COPIED = frozenset({"mp3", "aac", "opus"})
_OPUS_RATE = slice(12, 16)
"""Where the header of Opus keeps the rate of what was encoded once, which is for information."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One part as its headers tell. ``alike`` is what must be equal for its packets to follow another part's.

    ``alike`` is ``None`` for what can't be copied. ``packets`` counts them, where a header does. ``audio`` is where the
    samples of a WAV begin, and their bytes; ``speakers`` its channel mask.
    """

    info: AudioInfo
    alike: tuple[Any, ...] | None = None
    packets: int | None = None
    audio: tuple[int, int] | None = None
    speakers: int = 0

    @property
    def samples_alike(self) -> tuple[Any, ...]:
        """What must be equal for the samples of one WAV to follow another's."""
        return (self.info.codec, self.info.sample_rate, self.info.channels, self.speakers)


def look(part: Part) -> Look:
    """Look at *part*, and refuse one whose outside is not sound.

    Raises:
        UnsupportedAudio: it is nothing that can be read.

    """
    with opened(part.source) as reader:
        check_outside(reader.file, reader.looked)
        info = describe_headers(reader)
        if info.container == "wav":
            audio = wav_audio(reader.file, reader.looked)
            return Look(info=info, audio=audio, speakers=wav_speakers(reader.file))
        return Look(info=info, alike=_alike(reader, info), packets=reader.stream.frames or None)


def _alike(reader: Reader, info: AudioInfo) -> tuple[Any, ...] | None:
    context = reader.stream.codec_context
    extra = bytearray(context.extradata or b"")
    if info.codec not in _COPIED or (info.codec == "aac" and context.profile != "LC"):
        return None  # FLAC numbers its frames; what extends AAC looks across the seam
    if info.codec == "opus":
        extra[_OPUS_RATE] = b""
    if info.codec == "mp3" and not _stands_alone(reader):
        return None
    layout = reader.stream.layout.name
    return (info.container, info.codec, info.sample_rate, layout, reader.stream.time_base, bytes(extra))


def _stands_alone(reader: Reader) -> bool:
    """Tell whether an mp3 begins with a frame that needs none before it; one that was cut out of another does not."""
    first = next((bytes(packet) for packet in reader.container.demux(reader.stream) if packet.size), b"")
    version, has_checksum = first[1] >> 3 & 3 if len(first) > 8 else 0, len(first) > 8 and not first[1] & 1  # noqa: PLR2004
    side = first[6 if has_checksum else 4 :][:2]
    reservoir = int.from_bytes(side, "big") >> (7 if version == 3 else 8)  # noqa: PLR2004 - 9 bits, or 8 in MPEG 2
    return len(side) == 2 and reservoir == 0  # noqa: PLR2004


def looks_at(parts: Sequence[Part], *, longest: timedelta | None = None) -> list[Look]:
    """Look at all *parts*, none of which may say that it is longer than *longest*.

    Raises:
        UnsupportedAudio, NotFound, PermissionDenied: a part that can't be read, which the message names.

    """
    looks: list[Look] = []
    for number, part in enumerate(parts):
        with naming(number, part):
            seen = look(part)
            if longest is not None and seen.info.duration > longest.total_seconds():
                raise UnsupportedAudio("too_long", f"{seen.info.duration:.0f} s, and {longest} are the most")
            looks.append(seen)
    return looks


def expected_seconds(parts: Sequence[Part], looks: Sequence[Look]) -> float:
    """Give how long the whole will be, by the headers."""
    gaps = sum((each.gap_before + each.gap_after for each in parts), timedelta(0))
    return gaps.total_seconds() + sum(each.info.duration for each in looks)


@contextmanager
def naming(number: int, part: Part) -> Generator[None]:
    """Say which part it was that could not be read."""
    which = f"part {number}" + (f" ({part.title})" if part.title else "")
    try:
        yield
    except UnsupportedAudio as error:
        raise UnsupportedAudio(error.code, f"{which}: {error.detail}", part=number) from error
    except (NotFound, PermissionDenied) as error:
        raise type(error)(f"{which}: {error.what}") from error
    except TypeError as error:
        raise TypeError(f"{which}: {error}") from error
