"""Parts one after another as frames of one kind: gaps, fades, gain and trim are done on the frames that go by.

What is kept in memory is a frame or two, and the length of a fade at the end; a part with an ``edit`` is there whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from av.audio.frame import AudioFrame as Frame
from av.filter import Graph

from audiostore.audio.checking import check_decoded
from audiostore.audio.engine import Reader, opened
from audiostore.audio.headers import check_outside
from audiostore.audio.looking import naming
from audiostore.audio.metering import sound_within
from audiostore.audio.parts import Part
from audiostore.audio.probing import header_duration
from audiostore.audio.reshaping import LAYOUTS, Reshaper, pulled, reshaped, through
from audiostore.audio.segments import collect_segment, segment_frames
from audiostore.errors import UnsupportedAudio

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_SILENCE_BLOCK = 8_192
_TRIM_MARGIN = 0.03
"""Seconds kept before and after what is heard: a word begins and ends more quietly than it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What all frames are alike in."""

    sample_format: str
    layout: str
    sample_rate: int

    def reshaper(self) -> Reshaper:
        """Make what turns frames into this kind."""
        return Reshaper(sample_format=self.sample_format, layout=self.layout, sample_rate=self.sample_rate)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a part lies, in samples of the arrangement."""

    start: int
    end: int


class Arrangement:
    """All parts as one stream of frames. ``spans`` grows with each part that has gone by."""

    def __init__(self, parts: Sequence[Part], kind: Kind, *, max_part: timedelta | None, max_edit: timedelta) -> None:
        self.parts = parts
        self.kind = kind
        self.longest = None if max_part is None else max_part.total_seconds()
        self.max_edit = max_edit
        self.samples = 0
        self.spans: list[Span] = []

    def frames(self) -> Iterator[AudioFrame]:
        """Decode all parts, in order.

        Raises:
            UnsupportedAudio, NotFound, PermissionDenied: a part that can't be read, which the message names.

        """
        self.samples = 0
        self.spans.clear()
        for number, part in enumerate(self.parts):
            yield from self._counted(silence(self.kind, part.gap_before))
            start = self.samples
            with naming(number, part):
                yield from self._counted(self._sound(part))
            self.spans.append(Span(start, self.samples))
            yield from self._counted(silence(self.kind, part.gap_after))

    def _counted(self, frames: Iterable[AudioFrame]) -> Iterator[AudioFrame]:
        for frame in frames:
            self.samples += frame.samples
            yield frame

    def _sound(self, part: Part) -> Iterator[AudioFrame]:
        within = sound_within(part.source, margin=_TRIM_MARGIN, longest=self.longest) if part.trim else None
        with opened(part.source) as reader:
            check_outside(reader.file, reader.looked)
            frames: Iterable[AudioFrame] = _complete(reader, self.longest)
            if within is not None:
                cut = f"start_sample={within[0]}:end_sample={within[1]}"
                frames = through(frames, self._native(reader), ("atrim", cut))
            if part.edit is not None:
                frames = self._edited(part, reader, frames)
            if part.gain:
                frames = through(frames, self._native(reader), ("volume", f"{part.gain:.3f}dB"))
            frames = reshaped(frames, self.kind.reshaper())
            frames = _faded_in(frames, self._count(part.fade_in))
            frames = _faded_out(frames, self._count(part.fade_out))
            yield from frames

    def _native(self, reader: Reader) -> Reshaper:
        layout = LAYOUTS[min(reader.stream.channels, max(LAYOUTS))]
        return Reshaper(sample_format=self.kind.sample_format, layout=layout, sample_rate=reader.stream.sample_rate)

    def _edited(self, part: Part, reader: Reader, frames: Iterable[AudioFrame]) -> Iterator[AudioFrame]:
        assert part.edit is not None
        segment = collect_segment(reader, frames, max_duration=self.max_edit)
        return segment_frames(part.edit(segment))

    def _count(self, time: timedelta) -> int:
        return round(time.total_seconds() * self.kind.sample_rate)


def silence(kind: Kind, time: timedelta) -> Iterator[AudioFrame]:
    """Give digital silence of this length."""
    left = round(time.total_seconds() * kind.sample_rate)
    while left > 0:
        frame = Frame(format=kind.sample_format, layout=kind.layout, samples=min(left, _SILENCE_BLOCK))
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate = kind.sample_rate
        left -= frame.samples
        yield frame


def _complete(reader: Reader, longest: float | None) -> Iterator[AudioFrame]:
    """Give the frames, and refuse a recording of which a part is missing: nobody would hear that it is not there."""
    declared = header_duration(reader)
    seconds = 0.0
    for frame in reader.frames(seconds=longest):
        seconds += frame.samples / frame.sample_rate
        yield frame
    if not seconds:
        raise UnsupportedAudio("no_audio", "there is nothing to hear in it")
    check_decoded(reader, seconds, declared)


def _faded_in(frames: Iterable[AudioFrame], samples: int) -> Iterator[AudioFrame]:
    graph: Any = None
    seen = 0
    for frame in frames:
        if seen >= samples:
            yield frame
            continue
        graph = graph or _fade(frame, f"t=in:ss=0:ns={samples}")
        seen += frame.samples
        graph.push(frame)
        yield from pulled(graph)


def _faded_out(frames: Iterable[AudioFrame], samples: int) -> Iterator[AudioFrame]:
    if not samples:
        yield from frames
        return
    held: deque[AudioFrame] = deque()
    total = 0
    for frame in frames:
        held.append(frame)
        total += frame.samples
        while total - held[0].samples >= samples:
            total -= held[0].samples
            yield held.popleft()
    if not held:
        return
    count = min(samples, total)
    graph = _fade(held[0], f"t=out:ss={total - count}:ns={count}")
    at = 0
    while held:
        frame = held.popleft()
        frame.pts, frame.time_base = at, Fraction(1, frame.sample_rate)
        at += frame.samples
        graph.push(frame)
        yield from pulled(graph)


def _fade(frame: AudioFrame, arguments: str) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout.name,
        time_base=Fraction(1, frame.sample_rate),
    )
    graph.link_nodes(source, graph.add("afade", arguments), graph.add("abuffersink")).configure()
    return graph
