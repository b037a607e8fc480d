"""The work of a join, in a folder of its own: which way it goes, and going it.

Samples are appended where all parts are the same kind of WAV, packets are copied where they are the same kind of
compressed audio; otherwise all is decoded and encoded once, frame by frame.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from audiostore.audio.appending import append_parts, can_append
from audiostore.audio.arranging import Arrangement, Kind
from audiostore.audio.copying import Copier, can_copy, planned_spans, quiet_like
from audiostore.audio.encoding import Encoder, Share
from audiostore.audio.labelling import Labels, correct_id3_chapters, holds_chapters
from audiostore.audio.levelling import Levelled, Sound, find_level, lift_for
from audiostore.audio.looking import Look, expected_seconds, looks_at
from audiostore.audio.loudness import Preset
from audiostore.audio.parts import Chapter, Mark, Part, chapters_of
from audiostore.audio.probing import probe
from audiostore.audio.reshaping import LAYOUTS
from audiostore.audio.segments import LONGEST_SEGMENT
from audiostore.audio.target import Format, Shape, Target
from audiostore.errors import Cancelled, UnsupportedAudio

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_MEASURING = 0.4
"""The share of the whole that measuring takes, when there is a loudness to bring it to."""

How = Literal["appended", "copied", "encoded"]
Spans = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """All that is wished of a join, parsed. ``target.to`` is ``m4a`` for an m4b, too: ``is_book`` tells them apart."""

    target: Target
    is_book: bool = False
    loudness: Preset | None = None
    room_tone: bool = False
    reencode: bool | None = None
    tags: Mapping[str, str] | None = None
    cover: bytes | None = None
    chapters: Literal["parts"] | tuple[Chapter, ...] | None = None
    max_part: timedelta | None = None
    max_edit: timedelta = LONGEST_SEGMENT

    def as_dict(self) -> dict[str, Any]:
        """Give the wishes as JSON can hold them; *max_edit* is for parts that can't be sent either."""
        chapters = [asdict(each) for each in self.chapters] if isinstance(self.chapters, tuple) else self.chapters
        return {
            "target": self.target.as_dict(),
            "is_book": self.is_book,
            "loudness": None if self.loudness is None else asdict(self.loudness),
            "room_tone": self.room_tone,
            "reencode": self.reencode,
            "tags": None if self.tags is None else dict(self.tags),
            "cover": None if self.cover is None else b64encode(self.cover).decode(),
            "chapters": chapters,
            "max_part": None if self.max_part is None else self.max_part.total_seconds(),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Turn ``as_dict`` back."""
        loudness, cover, longest = given["loudness"], given["cover"], given["max_part"]
        chapters: str | list[dict[str, Any]] | None = given["chapters"]
        parsed: dict[str, Any] = {
            **given,
            "target": Target.from_dict(given["target"]),
            "loudness": None if loudness is None else Preset(**loudness),
            "cover": None if cover is None else b64decode(cover),
            "chapters": tuple(Chapter(**each) for each in chapters) if isinstance(chapters, list) else chapters,
            "max_part": None if longest is None else timedelta(seconds=longest),
        }
        return cls(**parsed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file that was made, still in the folder it was made in."""

    path: Path
    how: How
    duration: float
    marks: tuple[Mark, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Turn ``as_dict`` back."""
        marks = tuple(Mark(**each) for each in given["marks"])
        facts: dict[str, Any] = {**given, "path": Path(given["path"]), "marks": marks}
        return cls(**facts)


class Watch:
    """Tells how far a join is, and ends it when it is asked to."""

    def __init__(self, progress: Share | None, cancelled: Callable[[], bool] | None, what: str) -> None:
        self._progress = progress
        self._cancelled = cancelled
        self._what = what
        self._low = 0.0
        self._high = 1.0

    def between(self, low: float, high: float) -> None:
        """Take what comes next for the share from *low* to *high* of the whole."""
        self._low, self._high = low, high

    def at(self, share: float) -> None:
        """Say that *share* is done.

        Raises:
            Cancelled: that is wished; or whatever the caller's ``progress`` raises.

        """
        if self._cancelled is not None and self._cancelled():
            raise Cancelled(self._what)
        if self._progress is not None:
            self._progress(self._low + (self._high - self._low) * min(1.0, share))

    def over(self, frames: Iterable[AudioFrame], rate: int, seconds: float) -> Iterator[AudioFrame]:
        """Give *frames*, and say how far they are with every second of audio, of *seconds* that are expected."""
        done, told = 0, 0
        self.at(0.0)
        for frame in frames:
            yield frame
            done += frame.samples
            if done - told >= rate:
                told = done
                self.at(done / rate / seconds if seconds else 0.0)
        self.at(1.0)


def assemble(parts: Sequence[Part], wanted: Wanted, folder: Path, watch: Watch) -> Made:
    """Join *parts* into one file in *folder*.

    Raises:
        UnsupportedAudio: a part that can't be read, or can't be copied where nothing may be encoded.
        NotFound, PermissionDenied, StorageFull, Cancelled.

    """
    looks = looks_at(parts, longest=wanted.max_part)
    if wanted.reencode is not True:
        if _fits(parts, looks, wanted) and can_append(looks):
            return _append(parts, looks, wanted, folder, watch)
        if _fits(parts, looks, wanted) and can_copy(looks):
            made = _copy(parts, looks, wanted, folder, watch)
            if made is not None:
                return made
    if wanted.reencode is False:
        raise _unlike(looks, wanted)
    return _encode(parts, looks, wanted, folder, watch)


def _fits(parts: Sequence[Part], looks: Sequence[Look], wanted: Wanted) -> bool:
    untouched = wanted.loudness is None and not any(each.is_edited for each in parts)
    return untouched and all(wanted.target.fits(each.info) for each in looks)


def _unlike(looks: Sequence[Look], wanted: Wanted) -> UnsupportedAudio:
    """Name the first part that does not go with those before it, or does not go at all."""
    first, number = looks[0], 0
    for number, each in enumerate(looks):  # noqa: B007 - used after the loop
        other = each.alike != first.alike or each.samples_alike != first.samples_alike
        if other or not (each.alike or can_append([each])) or not wanted.target.fits(each.info):
            break
    info = looks[number].info
    told = f"{info.codec}, {info.sample_rate} Hz, {info.channels} channels"
    return UnsupportedAudio("unlike", f"part {number} ({told}) would have to be encoded", part=number)


# --- the three ways ---------------------------------------------------------------------------------------------------


def _append(parts: Sequence[Part], looks: Sequence[Look], wanted: Wanted, folder: Path, watch: Watch) -> Made:
    path, rate = folder / "joined.wav", looks[0].info.sample_rate
    spans, samples = append_parts(parts, looks, path, tags=wanted.tags, told=watch.at)
    marks = _marks(parts, [(start / rate, end / rate) for start, end in spans])
    return Made(path=path, how="appended", duration=samples / rate, marks=marks)


def _copy(parts: Sequence[Part], looks: Sequence[Look], wanted: Wanted, folder: Path, watch: Watch) -> Made | None:
    form = _format(wanted, looks[0])
    longest = max(max(each.gap_before, each.gap_after) for each in parts)
    quiet = quiet_like(looks[0], longest, folder) if longest else None
    if longest and quiet is None:
        return None
    path = folder / f"joined{form.suffix}"
    planned = planned_spans(parts, looks)
    expected = expected_seconds(parts, looks)
    first = _chapters(wanted, form, _marks(parts, planned or [(0.0, 0.0)] * len(parts)), expected)
    copier = Copier(path, form, Labels(tags=wanted.tags, cover=wanted.cover, chapters=first))
    copier.copy(parts, told=watch.at, expected=expected, quiet=quiet)
    marks = _marks(parts, copier.spans)
    duration = probe(path).duration
    chapters = _chapters(wanted, form, marks, duration)
    if not _close(first, chapters):
        path = _with_chapters(path, form, wanted, chapters, folder)
    return Made(path=path, how="copied", duration=duration, marks=marks)


def _encode(parts: Sequence[Part], looks: Sequence[Look], wanted: Wanted, folder: Path, watch: Watch) -> Made:
    shape = wanted.target.shape_for(
        sample_rate=max(each.info.sample_rate for each in looks),
        channels=max(each.info.channels for each in looks),
        bit_depth=max(each.info.bit_depth or 0 for each in looks) or None,
    )
    form = _format(wanted, looks[0])
    arrangement = Arrangement(parts, _kind(parts, shape, wanted), max_part=wanted.max_part, max_edit=wanted.max_edit)
    expected = expected_seconds(parts, looks)
    edit = _levelled(arrangement, shape, wanted, expected, watch) if wanted.loudness is not None else None
    frames: Iterable[AudioFrame] = watch.over(arrangement.frames(), shape.sample_rate, expected)
    path = folder / f"encoded{form.suffix}"
    # Where chapters begin is only known at the end. An mp3 has room for that; others are then written once more.
    late = wanted.chapters == "parts" and holds_chapters(form.muxer) and form.muxer != "mp3"
    first = () if late else _chapters(wanted, form, _marks(parts, [(0.0, 0.0)] * len(parts)), expected)
    labels = Labels() if late else Labels(tags=wanted.tags, cover=wanted.cover, chapters=first)
    plain = replace(form, options={}) if late else form
    with Encoder(path, replace(shape, format=plain), labels=labels) as encoder:
        for frame in frames if edit is None else edit(frames):
            encoder.write(frame)
        samples = encoder.samples
    head, rate = 0 if edit is None else edit.head, shape.sample_rate
    spans = [((each.start + head) / rate, (each.end + head) / rate) for each in arrangement.spans]
    marks = _marks(parts, spans)
    chapters = _chapters(wanted, form, marks, samples / rate)
    if late or not _close(first, chapters):
        path = _with_chapters(path, form, wanted, chapters, folder)
    return Made(path=path, how="encoded", duration=samples / rate, marks=marks)


def _kind(parts: Sequence[Part], shape: Shape, wanted: Wanted) -> Kind:
    # What is changed on the way is so as floats; what is not goes by as it is.
    changed = wanted.loudness is not None or any(each.is_edited for each in parts)
    floats = {"s16": "flt", "s32": "dbl"}.get(shape.sample_format, shape.sample_format)
    return Kind(
        sample_format=floats if changed else shape.sample_format,
        layout=LAYOUTS[shape.channels],
        sample_rate=shape.sample_rate,
    )


def _levelled(arrangement: Arrangement, shape: Shape, wanted: Wanted, expected: float, watch: Watch) -> Levelled:
    passes = 0

    def frames() -> Iterator[AudioFrame]:
        nonlocal passes
        # How many there will be is not known; each takes half of what is left.
        low = _MEASURING * (1 - 0.5**passes)
        passes += 1
        watch.between(low, _MEASURING * (1 - 0.5**passes))
        yield from watch.over(arrangement.frames(), shape.sample_rate, expected)

    assert wanted.loudness is not None
    sound = Sound(frames, shape.sample_rate, shape.channels)
    level = find_level(sound, wanted.loudness)
    watch.between(_MEASURING, 1.0)
    return Levelled(sound, level, lift=lift_for(shape), room_tone=wanted.room_tone)


# --- marks and chapters -----------------------------------------------------------------------------------------------


def _format(wanted: Wanted, first: Look) -> Format:
    form = wanted.target.shape_for(sample_rate=first.info.sample_rate, channels=1).format
    return replace(form, suffix=".m4b", options={**form.options, "brand": "M4B "}) if wanted.is_book else form


def _marks(parts: Sequence[Part], spans: Spans) -> tuple[Mark, ...]:
    return tuple(Mark(start=start, end=end, title=part.title) for part, (start, end) in zip(parts, spans, strict=True))


def _chapters(wanted: Wanted, form: Format, marks: Sequence[Mark], duration: float) -> tuple[Chapter, ...]:
    if wanted.chapters is None or not holds_chapters(form.muxer):
        return ()
    return chapters_of(marks, duration) if wanted.chapters == "parts" else wanted.chapters


def _close(planned: Sequence[Chapter], measured: Sequence[Chapter]) -> bool:
    """Tell whether chapters are where they were planned: to a thousandth, and the end of the last to a fortieth."""
    starts = all(abs(one.start - other.start) < 0.001 for one, other in zip(planned, measured, strict=True))  # noqa: PLR2004
    return starts and (not planned or abs(planned[-1].end - measured[-1].end) < 0.025)  # noqa: PLR2004


def _with_chapters(path: Path, form: Format, wanted: Wanted, chapters: Sequence[Chapter], folder: Path) -> Path:
    """Put chapters into a file that was made without knowing when they would begin."""
    if form.muxer == "mp3":
        correct_id3_chapters(path, chapters)
        return path
    again = folder / f"chapters{form.suffix}"
    copier = Copier(again, form, Labels(tags=wanted.tags, cover=wanted.cover, chapters=chapters))
    copier.copy([Part(path)], told=lambda _: None, expected=0.0)
    path.unlink()
    return again
