"""pydub where it is right: a stored recording as an ``AudioSegment`` to edit, and an edited one back into the store.

Decoded and encoded by PyAV, so that pydub neither looks for programs on the PATH nor reads floats as integers. A
segment is the whole recording as samples in memory, and pydub copies it at most steps: hence a longest length.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from audiostore.audio.encoding import Encoder
from audiostore.audio.engine import Reader, opened
from audiostore.audio.parts import AudioSegment
from audiostore.audio.probing import header_duration
from audiostore.audio.reshaping import LAYOUTS, Reshaper, packed, reshaped
from audiostore.audio.target import parse_target
from audiostore.errors import UnsupportedAudio
from audiostore.models import AudioFile

LONGEST_SEGMENT = timedelta(minutes=15)
"""In memory: 80 MB of 16-bit mono at 44.1 kHz, twice that in stereo, and pydub copies."""
_SAMPLE_FORMATS = {1: "u8", 2: "s16", 4: "s32"}
_CHUNK = 65_536


class Keeper(Protocol):
    """What is needed of a store: ``AudioStore`` has it."""

    @property
    def open(self) -> Callable[..., Any]: ...

    @property
    def put(self) -> Callable[..., AudioFile]: ...


def segment(
    store: Keeper,
    file: AudioFile | str,
    *,
    owner: str | None = None,
    max_duration: timedelta = LONGEST_SEGMENT,
) -> AudioSegment:
    """Give a stored recording as a ``pydub.AudioSegment``.

    It is 16 bit, or 32 if the recording has more; its rate and channels are the recording's. In memory it takes
    ``rate * channels * width`` bytes per second, several times that while pydub edits: so what is longer than
    *max_duration* is refused. Change rates with ``convert``, not with ``set_frame_rate``, which does not filter.

    >>> from audiostore import AudioStore
    >>> from audiostore.audio import put_segment, segment
    >>> store = AudioStore.local("uploads")
    >>> take = store.put("take.wav", owner="alice")
    >>> louder = segment(store, take).apply_gain(3)
    >>> put_segment(store, louder, to="flac", owner="alice", filename="louder.flac").content_type
    'audio/flac'

    Raises:
        UnsupportedAudio: ``too_long``; or nothing that can be decoded.
        NotFound: no such file for *owner*.
        ConfigurationError: the extra is missing: ``pip install "audiostore[audio]"``.

    """
    with store.open(file, owner=owner) as stored:
        return read_segment(stored, max_duration=max_duration)


def read_segment(source: Any, *, max_duration: timedelta = LONGEST_SEGMENT) -> AudioSegment:
    """Decode *source*, a path or a binary file that can seek, into a ``pydub.AudioSegment``; else as ``segment``."""
    with opened(source) as reader:
        declared, most = header_duration(reader), max_duration.total_seconds()
        if declared is not None and declared > most:
            raise UnsupportedAudio("too_long", f"{declared:.0f} s, and a segment has at most {most:g} s")
        return collect_segment(reader, reader.frames(), max_duration=max_duration)


def collect_segment(reader: Reader, frames: Iterable[Any], *, max_duration: timedelta) -> AudioSegment:
    """Make a segment of *frames* that come from *reader*, ending at the first that is beyond *max_duration*."""
    make, most = _segment_class(), max_duration.total_seconds()
    rate, channels = reader.stream.sample_rate, min(reader.stream.channels, max(LAYOUTS))
    width = 4 if reader.codec in _DEEP or reader.stream.format.name.startswith("s32") else 2
    alike = Reshaper(sample_format=_SAMPLE_FORMATS[width], layout=LAYOUTS[channels], sample_rate=rate)
    samples = bytearray()
    for frame in reshaped(frames, alike):
        samples += packed(frame)
        if alike.samples > most * rate:
            raise UnsupportedAudio("too_long", f"more than {most:g} s, which is the most that a segment has")
    if not samples:
        raise UnsupportedAudio("no_audio", "there is nothing to hear in it")
    return make(data=bytes(samples), sample_width=width, frame_rate=rate, channels=channels)


_DEEP = frozenset(
    {"pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"}
)


def put_segment(
    store: Keeper,
    segment: AudioSegment,
    *,
    to: str = "mp3",
    owner: str,
    filename: str | None = None,
    bit_rate: int | None = None,
    **wanted: Any,
) -> AudioFile:
    """Encode a ``pydub.AudioSegment`` *to* wav, mp3, m4a, flac or opus, and store it as ``store.put`` does.

    *wanted* is what ``put`` takes: ``project= chapter= section= metadata=`` …

    Raises:
        What ``put`` raises. ValueError: a format or rate that can't be.

    """
    target = parse_target(to, bit_rate=bit_rate)
    with TemporaryDirectory(prefix="audiostore-segment-") as folder:
        path = Path(folder) / f"audio.{target.to}"
        write_segment(segment, path, to=to, bit_rate=bit_rate)
        return store.put(path, owner=owner, filename=filename or path.name, move=True, **wanted)


def write_segment(segment: AudioSegment, path: Path, *, to: str, bit_rate: int | None = None) -> None:
    """Encode a ``pydub.AudioSegment`` into *path*."""
    target = parse_target(to, bit_rate=bit_rate)
    channels, rate, width = _kind_of(segment)
    shape = target.shape_for(sample_rate=rate, channels=channels, bit_depth=24 if width == 4 else 16)  # noqa: PLR2004
    with Encoder(path, shape) as encoder:
        for frame in segment_frames(segment):
            encoder.write(frame)


def _kind_of(segment: AudioSegment) -> tuple[int, int, int]:
    channels, rate, width = int(segment.channels), int(segment.frame_rate), int(segment.sample_width)
    if width not in _SAMPLE_FORMATS or not 1 <= channels <= max(LAYOUTS) or rate <= 0:
        raise ValueError(f"a segment of {channels} channels, {rate} Hz and {width} bytes per sample can't be written")
    return channels, rate, width


def segment_frames(segment: AudioSegment) -> Iterator[Any]:
    """Give the samples of a ``pydub.AudioSegment`` as frames."""
    from av.audio.frame import AudioFrame

    channels, rate, width = _kind_of(segment)
    stream, step = io.BytesIO(segment.raw_data), _CHUNK * channels * width
    while block := stream.read(step):
        frame = AudioFrame(
            format=_SAMPLE_FORMATS[width], layout=LAYOUTS[channels], samples=len(block) // (channels * width)
        )
        plane = frame.planes[0]
        plane.update(block.ljust(plane.buffer_size, b"\0"))
        frame.sample_rate = rate
        yield frame


def _segment_class() -> Any:
    with warnings.catch_warnings():
        # audioop's end, and a search for ffmpeg that is not needed here; some are SyntaxWarnings of pydub's own.
        warnings.simplefilter("ignore")
        return import_module("pydub").AudioSegment
