"""Compressed parts that are alike become one without being decoded: their packets, one after another, at new times.

A decoder that plays them on gives what it gives for each part by itself (``docs/decisions.md`` says for which codecs to
the last bit), with the silence between them that encoders put around what they encode: 25 ms or so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from audiostore.audio.arranging import Kind, silence
from audiostore.audio.checking import check_decoded
from audiostore.audio.encoding import Encoder, open_output, packets_of, writing
from audiostore.audio.engine import Reader, opened
from audiostore.audio.labelling import Labels, label
from audiostore.audio.looking import Look, look, naming
from audiostore.audio.parts import Part
from audiostore.audio.probing import header_duration
from audiostore.audio.reshaping import LAYOUTS
from audiostore.audio.target import Format, parse_target
from audiostore.errors import UnsupportedAudio

if TYPE_CHECKING:
    from av.packet import Packet

_OFTEN = 500
"""Packets between two looks at whether to go on; some ten seconds of audio."""

Told = Callable[[float], None]
Seconds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Silence:
    """Encoded silence: packets of one length each, in units of *base* seconds."""

    packets: tuple[bytes, ...]
    duration: int
    base: Fraction

    def count(self, time: timedelta) -> int:
        """Give how many packets come closest to *time*."""
        return round(time.total_seconds() / float(self.duration * self.base))


class Copier:
    """Writes packets of parts that are alike into one file. ``spans`` has where each part lies, in seconds."""

    def __init__(self, path: Path, form: Format, labels: Labels) -> None:
        self.path = path
        self.form = form
        self.labels = labels
        self.spans: list[Seconds] = []
        self.seconds = 0.0

    def copy(self, parts: Sequence[Part], *, told: Told, expected: float, quiet: Silence | None = None) -> None:
        """Write all *parts*; gaps are filled with *quiet*.

        Raises:
            UnsupportedAudio: a part that is damaged or not all there, which the message names.

        """
        self.spans.clear()
        with writing(self.path), open_output(self.path, self.form.muxer, self.form.options) as container:
            line: _Line | None = None
            for number, part in enumerate(parts):
                with naming(number, part), opened(part.source) as reader:
                    if line is None:
                        line = _Line(container, reader, told, expected)
                        label(container, line.stream, self.labels)
                    line.rest(quiet, part.gap_before)
                    self.spans.append(line.play(reader))
                    line.rest(quiet, part.gap_after)
            assert line is not None
            self.seconds = line.seconds


class _Line:
    """The one stream that is written, and how far it is, in its own units of time."""

    def __init__(self, container: Any, reader: Reader, told: Told, expected: float) -> None:
        self.container = container
        self.stream = container.add_stream_from_template(reader.stream)
        self.stream.metadata.clear()
        self.base: Fraction = reader.stream.time_base or Fraction(1, reader.stream.sample_rate)
        self.at: int | None = None
        self.origin = 0
        self.told = told
        self.expected = expected or 1.0

    @property
    def seconds(self) -> float:
        return float(((self.at or 0) - self.origin) * self.base)

    def play(self, reader: Reader) -> Seconds:
        """Write the packets of one part, and give where it lies."""
        declared = header_duration(reader)
        start, first, last, long, count = self.seconds, 0, 0, 0, 0
        # Each step is taken 38 times for a second of audio, and counts beside what PyAV takes.
        mux, stream = self.container.mux_one, self.stream
        shift = 0
        for packet in packets_of(reader):
            time = last = packet.dts or 0
            if not count:
                first = time
                if self.at is None:
                    self.at = self.origin = time
                shift = self.at - first
            # The last one of a part is told to be shorter, and decodes to as much as the others.
            duration = packet.duration
            if duration is not None and duration > long:
                long = duration
            packet.dts = packet.pts = time + shift
            packet.stream = stream
            mux(packet)
            count += 1
            if count % _OFTEN == 0:
                self.told((start + float((time - first) * self.base)) / self.expected)
        if not count:
            raise UnsupportedAudio("no_audio", "there is nothing to hear in it")
        self.at = (self.at or 0) + last - first + long
        reader.packets = count
        check_decoded(reader, self.seconds - start, declared)
        self.told(self.seconds / self.expected)
        return start, min(self.seconds, start + declared) if declared else self.seconds

    def rest(self, quiet: Silence | None, time: timedelta) -> None:
        """Write silence of about this length."""
        if quiet is None or not time:
            return
        for number in range(quiet.count(time)):
            packet: Packet[Any] = av.Packet(quiet.packets[number % len(quiet.packets)])
            packet.time_base = quiet.base
            packet.dts = packet.pts = (self.at or 0) + number * quiet.duration
            packet.duration = quiet.duration
            packet.stream = self.stream
            self.container.mux(packet)
        self.at = (self.at or 0) + quiet.count(time) * quiet.duration


def can_copy(looks: Sequence[Look]) -> bool:
    """Tell whether these can follow one another packet by packet."""
    first = looks[0].alike
    return first is not None and all(each.alike == first for each in looks)


def quiet_like(seen: Look, longest: timedelta, folder: Path) -> Silence | None:
    """Encode silence that can stand between parts such as *seen*; ``None`` if ours does not fit to theirs."""
    info = seen.info
    target = parse_target(info.format, sample_rate=info.sample_rate, channels=info.channels)
    shape = target.shape_for(sample_rate=info.sample_rate, channels=info.channels)
    kind = Kind(sample_format=shape.sample_format, layout=LAYOUTS[shape.channels], sample_rate=shape.sample_rate)
    path = folder / f"silence{shape.format.suffix}"
    with Encoder(path, shape) as encoder:
        for frame in silence(kind, min(longest, _LONGEST_SILENCE) + timedelta(seconds=1)):
            encoder.write(frame)
    if look(Part(path)).alike != seen.alike:
        return None
    with opened(path) as reader:
        kept = [(bytes(packet), packet.duration or 0) for packet in packets_of(reader)]
        assert reader.stream.time_base is not None
        return Silence(tuple(each for each, _ in kept), kept[0][1], reader.stream.time_base)


_LONGEST_SILENCE = timedelta(minutes=1)


def planned_spans(parts: Sequence[Part], looks: Sequence[Look]) -> list[Seconds] | None:
    """Give where each part will lie, if the headers of all tell how many packets they have and there is no gap."""
    packets = [each.packets for each in looks]
    first = looks[0]
    if None in packets or any(part.gap_before or part.gap_after for part in parts):
        return None
    return None if first.alike is None else list(_spans(looks))


def _spans(looks: Sequence[Look]) -> Iterator[Seconds]:
    at = 0.0
    for each in looks:
        yield at, at + each.info.duration
        at += (each.packets or 0) * _AAC_SAMPLES / each.info.sample_rate


_AAC_SAMPLES = 1024
