"""Frames of one kind out of frames of any: rate, layout and sample format are made alike, and times counted anew."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from av.audio.resampler import AudioResampler
from av.filter import Graph

from audiostore.audio.engine import FOREIGN, translated, translating

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

with warnings.catch_warnings():
    # Deprecated up to 3.12; from 3.13 on it comes from audioop-lts, which the extra brings.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

__all__ = ["LAYOUTS", "Reshaper", "audioop", "blocks", "longer", "packed", "pulled", "reshaped", "through"]

LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_BLOCK = 32_768


class Reshaper:
    """Turns frames into one kind. What comes in may change on the way, as it does in an mp3 that was joined badly."""

    def __init__(self, *, sample_format: str, layout: str, sample_rate: int) -> None:
        self.sample_format = sample_format
        self.layout = layout
        self.sample_rate = sample_rate
        self.samples = 0
        self._base = Fraction(1, sample_rate)
        self._resampler: AudioResampler | None = None
        self._kind: tuple[object, ...] = ()

    def push(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Give what can be given after one more frame."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or kind != self._kind:
            yield from self.flush()
            self._resampler = AudioResampler(format=self.sample_format, layout=self.layout, rate=self.sample_rate)
            self._kind = kind
        frame.pts = None
        yield from self._timed(self._resampler.resample(frame))

    def flush(self) -> Iterator[AudioFrame]:
        """Give the rest."""
        if self._resampler is not None:
            yield from self._timed(self._resampler.resample(None))
            self._resampler = None

    def _timed(self, frames: Iterable[AudioFrame | None]) -> Iterator[AudioFrame]:
        for frame in frames:
            if frame is not None and frame.samples:
                frame.pts = self.samples
                frame.time_base = self._base
                self.samples += frame.samples
                yield frame


def reshaped(frames: Iterable[AudioFrame], reshaper: Reshaper) -> Iterator[AudioFrame]:
    """Give all *frames*, in the one kind of *reshaper*."""
    for frame in frames:
        yield from reshaper.push(frame)
    yield from reshaper.flush()


def longer(frames: Iterable[AudioFrame], *, sample_format: str, layout: str, sample_rate: int) -> Iterator[AudioFrame]:
    """Give all *frames* in one kind, as ``reshaped`` does, in longer ones.

    A frame of an mp3 is reshaped alone in the time it takes to decode it. So it waits for others, some 32,768 samples.
    """
    converter, kind, waiting = None, ("", "", 0), 0
    for frame in frames:
        if converter is None or kind != (frame.format.name, frame.layout.name, frame.sample_rate):
            if converter is not None:
                yield from _drained(converter)
            kind, waiting = (frame.format.name, frame.layout.name, frame.sample_rate), 0
            converter = _converter(kind, (sample_format, layout, sample_rate))
        frame.pts = None
        try:  # and no ``translating``, as for each packet in the engine
            converter.push(frame)
        except FOREIGN as error:
            raise translated(error) from error
        waiting += frame.samples
        if waiting >= _BLOCK:
            waiting = 0
            yield from pulled(converter)
    if converter is not None:
        yield from _drained(converter)


def blocks(frames: Iterable[AudioFrame], *, sample_format: str, layout: str, sample_rate: int) -> Iterator[bytes]:
    """Give the samples of all *frames* in one kind, interleaved, in blocks."""
    return map(packed, longer(frames, sample_format=sample_format, layout=layout, sample_rate=sample_rate))


def _drained(converter: Graph) -> Iterator[AudioFrame]:
    with translating():
        converter.push(None)
    return pulled(converter)


def _converter(given: tuple[str, str, int], wanted: tuple[str, str, int]) -> Graph:
    """Give a graph that turns frames of one kind (sample format, layout, rate) into long ones of another."""
    graph = Graph()
    graph.threads = 1
    with translating():
        graph.link_nodes(
            graph.add(
                "abuffer",
                sample_fmt=given[0],
                channel_layout=given[1],
                sample_rate=str(given[2]),
                time_base=f"1/{given[2]}",
            ),
            graph.add("aformat", sample_fmts=wanted[0], channel_layouts=wanted[1], sample_rates=str(wanted[2])),
            graph.add("asetnsamples", nb_out_samples=str(_BLOCK), pad="0"),
            graph.add("abuffersink"),
        ).configure()
    return graph


def through(frames: Iterable[AudioFrame], reshaper: Reshaper, *filters: tuple[str, str]) -> Iterator[AudioFrame]:
    """Lead *frames*, made alike by *reshaper*, through FFmpeg's filters: pairs of a name and its arguments."""
    graph = Graph()
    graph.threads = 1  # each would reserve address space, which is what a confined process has little of
    nodes = [
        graph.add_abuffer(
            sample_rate=reshaper.sample_rate,
            format=reshaper.sample_format,
            layout=reshaper.layout,
            time_base=Fraction(1, reshaper.sample_rate),
        )
    ]
    nodes += [graph.add(name, arguments) for name, arguments in filters]
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    for frame in reshaped(frames, reshaper):
        graph.push(frame)
        yield from pulled(graph)
    graph.push(None)
    yield from pulled(graph)


def pulled(graph: Graph) -> Iterator[AudioFrame]:
    """Give what *graph* has ready."""
    import av.error

    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield frame  # type: ignore[misc]  # pyright: ignore[reportReturnType]


def packed(frame: AudioFrame) -> bytes:
    """Give the bytes of a frame whose channels are interleaved, without what alignment added."""
    # Of its layout, only the count is cheap to ask for; a frame of an mp3 is decoded in the time the rest takes.
    return bytes(frame.planes[0])[: frame.samples * frame.format.bytes * frame.layout.nb_channels]
