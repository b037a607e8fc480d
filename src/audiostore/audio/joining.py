"""``join``: many recordings become one file, streaming; copied where that loses nothing, encoded once where it must."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from audiostore.audio.assembling import Made, Wanted, Watch, assemble
from audiostore.audio.encoding import Share
from audiostore.audio.engine import own_path
from audiostore.audio.isolation import MEMORY, Bounds, run
from audiostore.audio.labelling import is_picture
from audiostore.audio.looking import naming
from audiostore.audio.loudness import Preset, parse_preset
from audiostore.audio.parts import Chapter, Joined, Part, parse_parts
from audiostore.audio.segments import LONGEST_SEGMENT
from audiostore.audio.target import parse_target
from audiostore.errors import UnsupportedAudio, from_os_error

JOIN_TIMEOUT = timedelta(hours=6)
_MEMORY = 2 * MEMORY
_ANY_SIZE = 1 << 60
_MOST_ID3_CHAPTERS = 255


def join(
    parts: Iterable[Part | Any],
    path: str | Path,
    *,
    to: str = "mp3",
    sample_rate: int | None = None,
    channels: int | None = None,
    bit_rate: int | None = None,
    bit_depth: int | None = None,
    loudness: Literal["acx", "ebu_r128", "podcast"] | Preset | None = None,
    room_tone: bool = False,
    reencode: bool | None = None,
    tags: Mapping[str, str] | None = None,
    cover: bytes | None = None,
    chapters: Literal["parts"] | Sequence[Chapter] | None = None,
    max_part: timedelta | None = None,
    max_edit: timedelta = LONGEST_SEGMENT,
    isolated: bool = False,
    timeout: timedelta = JOIN_TIMEOUT,
    progress: Share | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Joined:
    """Write all *parts* into one file at *path*, in order: wav, mp3, m4a, m4b, flac or opus.

    A part is a ``Part``, or a path, or a binary file that can seek. Rate, channels and depth that are not given are
    the highest among the parts; lower ones are brought up, with a filter. Hours of audio take no more memory than
    seconds.

    Parts that are alike, with nothing done to them, are not encoded again: samples of WAVs are appended, packets of
    mp3, m4a and Opus copied (gaps are then encoded silence, to the nearest packet). ``reencode=False`` insists on
    that, ``reencode=True`` on the opposite. *loudness* brings the whole to a preset, as ``normalise`` does, with
    *room_tone* at both ends; parts are then decoded several times, and their ``edit`` is called as often.

    *tags* are names and texts, *cover* the bytes of a JPEG or PNG. *chapters* are ``"parts"``: one begins with each
    part that has a title (if none has, with each part); or ``Chapter`` marks of your own. Opus, mp3, m4a and m4b hold
    chapters, these and FLAC a cover; elsewhere they are left out. ``Joined.marks`` tells where each part lies.

    *progress* gets the share that is done, 0 to 1; what it raises ends the join, and so does ``cancelled()`` once it
    answers yes, both asked with every few seconds of audio. *path* appears when all is done, or not at all, and what
    was there before stays until then. This process decodes, as with ``probe``; with *isolated*, one of its own does,
    in bounded memory, and no longer than *timeout*. For that, sources are paths, and there is no ``edit``. A few bytes
    can decode to days of silence: *max_part* bounds what one part may be, in either process.

    >>> from datetime import timedelta
    >>> from audiostore.audio import Part, join
    >>> pause = timedelta(seconds=1)
    >>> joined = join([Part("take.wav", gap_after=pause), "take.wav"], "both.mp3", to="mp3")
    >>> joined.how, round(joined.duration, 1), [round(mark.start, 1) for mark in joined.marks]
    ('encoded', 10.1, [0.0, 5.5])

    Raises:
        UnsupportedAudio: no parts; or one that can't be read, is not all there, has nothing to hear, or is longer than
            *max_part*, or than *max_edit* if it has an ``edit``. ``part`` is its place in *parts*, from 0.
        NotFound, PermissionDenied: a part that is not there, or a folder. StorageFull: no space for the output.
        Cancelled: ``cancelled()`` said so.
        ValueError: a wish that can't be fulfilled.

    """
    listed, made_at = parse_parts(parts), Path(path)
    wanted = _parse_wanted(
        to,
        shape={"sample_rate": sample_rate, "channels": channels, "bit_rate": bit_rate, "bit_depth": bit_depth},
        loudness=None if loudness is None else parse_preset(loudness),
        room_tone=room_tone,
        reencode=reencode,
        tags=None if tags is None else dict(tags),
        cover=cover,
        chapters=chapters,
        max_part=max_part,
        max_edit=max_edit,
    )
    _check(listed, wanted)
    if isolated:
        _check_isolated(listed)
    watch = Watch(progress, cancelled, f"the join of {made_at}")
    with _folder_beside(made_at) as folder:
        watch.at(0.0)
        work = partial(_assemble_apart, timeout=timeout) if isolated else assemble
        made = work(listed, wanted, folder, watch)
        watch.between(0.0, 1.0)
        watch.at(1.0)
        size = made.path.stat().st_size
        _publish(made.path, made_at)
    return Joined(path=made_at, duration=made.duration, size=size, how=made.how, marks=made.marks)


def _parse_wanted(
    to: str, *, shape: Mapping[str, Any], chapters: Literal["parts"] | Sequence[Chapter] | None, **wishes: Any
) -> Wanted:
    if isinstance(chapters, str) and chapters != "parts":
        raise ValueError('chapters are "parts", or a list of Chapter')
    return Wanted(
        target=parse_target(to, tags="strip", **shape),
        is_book=to.strip().lower().removeprefix(".") == "m4b",
        chapters=chapters if chapters is None or isinstance(chapters, str) else tuple(chapters),
        **wishes,
    )


def _check(parts: Sequence[Part], wanted: Wanted) -> None:
    if not parts:
        raise UnsupportedAudio("empty", "there are no parts to join")
    if wanted.cover is not None and not is_picture(wanted.cover):
        raise ValueError("a cover is the bytes of a JPEG or a PNG")
    if wanted.reencode is False and (wanted.loudness or any(each.is_edited for each in parts)):
        raise ValueError("reencode=False leaves no way to change loudness, or a part")
    if wanted.room_tone and wanted.loudness is None:
        raise ValueError("room_tone goes with a loudness")
    count = 0 if wanted.chapters is None else len(parts if wanted.chapters == "parts" else wanted.chapters)
    if wanted.target.to == "mp3" and count > _MOST_ID3_CHAPTERS:
        raise ValueError(f"an mp3 has {_MOST_ID3_CHAPTERS} chapters at most, not {count}")


def _check_isolated(parts: Sequence[Part]) -> None:
    for number, part in enumerate(parts):
        if part.edit is not None:
            raise ValueError(f"part {number}: an edit can't go to another process; it is for isolated=False")
        with naming(number, part):
            own_path(part.source)


def _assemble_apart(parts: Sequence[Part], wanted: Wanted, folder: Path, watch: Watch, *, timeout: timedelta) -> Made:
    request = {
        "parts": [each.as_dict() for each in parts],
        "wanted": wanted.as_dict(),
        "folder": str(folder.absolute()),
    }
    bounds = Bounds(timeout=timeout, memory=_MEMORY, output=_ANY_SIZE)
    answer = run("join", [Path(each.source) for each in parts], request, bounds=bounds, progress=watch.at)
    return Made.from_dict(answer)


@contextmanager
def _folder_beside(path: Path) -> Generator[Path]:
    """Give a folder for the work, on the disk of *path*; nothing is left of it."""
    try:
        folder = TemporaryDirectory(prefix=".join-", dir=path.parent)
    except OSError as error:
        raise from_os_error(error, str(path.parent)) from error
    with folder as name:
        yield Path(name)


def _publish(written: Path, path: Path) -> None:
    try:
        written.replace(path)
    except OSError as error:
        raise from_os_error(error, str(path)) from error
