"""``join``: many recordings become one file, streaming; copied where that loses nothing, encoded once where it must."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from audiostore.audio.arranging import Arrangement, Kind, naming
from audiostore.audio.encoding import Encoder, Share
from audiostore.audio.engine import opened
from audiostore.audio.info import AudioInfo
from audiostore.audio.parts import Chapter, Joined, Mark, Part, parse_parts
from audiostore.audio.reshaping import LAYOUTS
from audiostore.audio.segments import LONGEST_SEGMENT
from audiostore.audio.target import parse_target
from audiostore.audio.transcoding import describe_headers
from audiostore.errors import Cancelled, UnsupportedAudio
from audiostore.ids import new_id

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame


def join(
    parts: Iterable[Part | Any],
    path: str | Path,
    *,
    to: str = "mp3",
    sample_rate: int | None = None,
    channels: int | None = None,
    bit_rate: int | None = None,
    bit_depth: int | None = None,
    reencode: bool | None = None,
    tags: Mapping[str, str] | None = None,
    cover: bytes | None = None,
    chapters: Literal["parts"] | Sequence[Chapter] | None = None,
    max_edit: timedelta = LONGEST_SEGMENT,
    progress: Share | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Joined:
    """Write all *parts* into one file at *path*, in order."""
    listed = parse_parts(parts)
    if not listed:
        raise UnsupportedAudio("empty", "there are no parts to join")
    target = parse_target(
        to, sample_rate=sample_rate, channels=channels, bit_rate=bit_rate, bit_depth=bit_depth, tags="strip"
    )
    infos = [_look(number, part) for number, part in enumerate(listed)]
    shape = target.shape_for(
        sample_rate=max(each.sample_rate for each in infos),
        channels=max(each.channels for each in infos),
        bit_depth=max(each.bit_depth or 0 for each in infos) or None,
    )
    kind = Kind(sample_format=shape.sample_format, layout=LAYOUTS[shape.channels], sample_rate=shape.sample_rate)
    arrangement = Arrangement(listed, kind, max_edit=max_edit)
    watch = Watch(progress, cancelled, str(path))
    with beside(Path(path)) as written:
        with Encoder(written, shape, tags=tags, cover=cover) as encoder:
            for frame in watch.over(arrangement.frames(), shape.sample_rate, _expected(listed, infos)):
                encoder.write(frame)
            samples = encoder.samples
        size = written.stat().st_size
    marks = tuple(
        Mark(start=span.start / shape.sample_rate, end=span.end / shape.sample_rate, title=part.title)
        for span, part in zip(arrangement.spans, listed, strict=True)
    )
    return Joined(path=Path(path), duration=samples / shape.sample_rate, size=size, how="encoded", marks=marks)


def _look(number: int, part: Part) -> AudioInfo:
    with naming(number, part), opened(part.source) as reader:
        return describe_headers(reader)


def _expected(parts: Sequence[Part], infos: Sequence[AudioInfo]) -> float:
    gaps = sum((each.gap_before + each.gap_after for each in parts), timedelta(0))
    return gaps.total_seconds() + sum(each.duration for each in infos)


class Watch:
    """Tells how far a join is, and ends it when it is asked to."""

    def __init__(self, progress: Share | None, cancelled: Callable[[], bool] | None, what: str) -> None:
        self._progress = progress
        self._cancelled = cancelled
        self._what = what

    def at(self, share: float) -> None:
        """Say that *share* is done.

        Raises:
            Cancelled: that is wished; or whatever the caller's ``progress`` raises.

        """
        if self._cancelled is not None and self._cancelled():
            raise Cancelled(f"the join of {self._what}")
        if self._progress is not None:
            self._progress(min(1.0, share))

    def over(self, frames: Iterable[AudioFrame], rate: int, seconds: float) -> Iterator[AudioFrame]:
        """Give *frames*, and say how far they are every second of audio, of *seconds* that are expected."""
        done, told = 0, 0
        self.at(0.0)
        for frame in frames:
            yield frame
            done += frame.samples
            if done - told >= rate:
                told = done
                self.at(done / rate / seconds if seconds else 0.0)
        self.at(1.0)


@contextmanager
def beside(path: Path) -> Generator[Path]:
    """Give a path to write to, in the same folder, that becomes *path* at the end, and nothing if the block raises."""
    written = path.with_name(f".{new_id()}.part")
    try:
        yield written
        os.replace(written, path)  # noqa: PTH105 - what is there is replaced at once
    finally:
        written.unlink(missing_ok=True)
