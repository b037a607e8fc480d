"""One recording becomes another, streaming: decode, reshape, encode, a frame at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiostore.audio.encoding import Encoder, Share, remux
from audiostore.audio.engine import Reader, opened
from audiostore.audio.info import AudioInfo
from audiostore.audio.labelling import Labels
from audiostore.audio.probing import cover_bytes, facts_of, header_duration, probe
from audiostore.audio.reshaping import LAYOUTS, longer
from audiostore.audio.target import OUTPUTS, Target, parse_target

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

Edit = Callable[["Iterable[AudioFrame]"], "Iterable[AudioFrame]"]


def transcode(
    source: Any,
    path: str | Path,
    *,
    to: str,
    sample_rate: int | None = None,
    channels: int | None = None,
    bit_rate: int | None = None,
    bit_depth: int | None = None,
    keep_tags: bool = True,
    progress: Share | None = None,
) -> AudioInfo:
    """Write *source* (a path, or a binary file that can seek) to *path* as wav, mp3, m4a, flac or opus.

    What is not given stays as it is, as far as the format can have it; *bit_rate* is bits per second. Hours of audio
    take no more memory than seconds. *progress* gets the share that is done, 0 to 1, and what it raises ends it;
    *path* is then removed. This process does it: files of strangers are for ``convert()``.

    >>> from audiostore.audio import transcode
    >>> transcode("take.wav", "take.mp3", to="mp3", bit_rate=64_000).codec
    'mp3'

    Raises:
        UnsupportedAudio: *source* is nothing that can be decoded.
        StorageFull, PermissionDenied: *path* can't be written.
        ValueError: a wish that the format can't fulfil.

    """
    target = parse_target(
        to,
        sample_rate=sample_rate,
        channels=channels,
        bit_rate=bit_rate,
        bit_depth=bit_depth,
        tags="keep" if keep_tags else "strip",
    )
    written = Path(path)
    convert_file(source, written, target, progress=progress)
    return probe(written)


def convert_file(
    source: Any, path: Path, target: Target, *, seconds: float | None = None, progress: Share | None = None
) -> None:
    """Encode *source*, *seconds* at most, into *path* as *target* wishes."""
    with opened(source) as reader:
        cover = cover_bytes(reader) if target.tags == "keep" else None
    with opened(source) as reader:
        write(reader, path, target, cover=cover, seconds=seconds, progress=progress)


def write(
    reader: Reader,
    path: Path,
    target: Target,
    *,
    cover: bytes | None = None,
    seconds: float | None = None,
    edit: Edit | None = None,
    progress: Share | None = None,
) -> None:
    """Encode all that *reader* decodes, *seconds* at most, into *path*; *edit* may change the frames on their way."""
    info = describe_headers(reader)
    shape = target.shape_for(sample_rate=info.sample_rate, channels=info.channels, bit_depth=info.bit_depth)
    decoded = told(reader, seconds, progress)
    frames = longer(
        decoded if edit is None else edit(decoded),
        sample_format=shape.sample_format,
        layout=LAYOUTS[shape.channels],
        sample_rate=shape.sample_rate,
    )
    tags = info.tags if target.tags == "keep" else None
    with Encoder(path, shape, labels=Labels(tags=tags, cover=cover)) as encoder:
        for frame in frames:
            encoder.write(frame)


def copy_without_tags(reader: Reader, path: Path) -> None:
    """Write the audio alone, as it is: no tags, no picture, nothing that was hung on at the end."""
    output = OUTPUTS[describe_headers(reader).format]
    remux(reader, path, muxer=output.muxer, options=output.options)


def describe_headers(reader: Reader) -> AudioInfo:
    """Tell what *reader* reads without moving it on: a duration that only counting could tell stays 0."""
    return facts_of(reader, header_duration(reader) or 0.0)


def told(reader: Reader, seconds: float | None, progress: Share | None) -> Iterable[AudioFrame]:
    """Give the frames of *reader*, and tell *progress* how far they are."""
    expected = header_duration(reader)
    done = 0.0
    for frame in reader.frames(seconds=seconds):
        done += frame.samples / frame.sample_rate
        yield frame
        if progress is not None and expected:
            progress(min(1.0, done / expected))
