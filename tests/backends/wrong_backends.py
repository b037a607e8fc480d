"""Backends that are wrong in one way each; ``CAUGHT_BY`` names the test of the suite that must say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from audiostore.backends.memory import MemoryBackend
from audiostore.errors import AlreadyExists, NotFound, Unavailable
from audiostore.keys import Key
from audiostore.models import ObjectStat, Staged
from audiostore.protocols import Capabilities, Progress
from audiostore.streams import ByteStream, read_range

CAUGHT_BY: dict[type[Wrong], str] = {}


class Wrong(MemoryBackend):
    caught_by: ClassVar[str]

    def __init_subclass__(cls, caught_by: str, **options: Any) -> None:
        super().__init_subclass__(**options)
        CAUGHT_BY[cls] = f"test_{caught_by}"

    def _replace(self, key: Key, data: bytes) -> ObjectStat:
        self._kept.pop(key, None)
        return self._keep(key, data)


class Overwrites(Wrong, caught_by="nothing_is_overwritten"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        self._kept.pop(key, None)
        return super().write(key, staged, resume=resume, progress=progress)


class KeepsTheFirstSilently(Wrong, caught_by="nothing_is_overwritten"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        try:
            return super().write(key, staged, resume=resume, progress=progress)
        except AlreadyExists:
            return self.stat(key)


class TakesTheSameBytesTwice(Wrong, caught_by="nothing_is_overwritten"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        if key in self._kept and self._kept[key].data == staged.path.read_bytes():
            return self.stat(key)
        return super().write(key, staged, resume=resume, progress=progress)


class LooksBeforeItWrites(Wrong, caught_by="of_many_writers_of_one_key_one_wins_whole"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        if key in self._kept:
            raise AlreadyExists(key)
        data = staged.path.read_bytes()
        for name in range(2000):  # the time in which others look, too
            self._kept.get(Key(f"x{name}"))
        return self._replace(key, data)


class ShowsHalves(Wrong, caught_by="progress_is_told_before_the_object_is_there"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        if key in self._kept:
            raise AlreadyExists(key)
        data = staged.path.read_bytes()
        self._replace(key, data[: len(data) // 2])
        if progress:
            progress(len(data), None)
        return self._replace(key, data)


class LeavesHalves(Wrong, caught_by="a_failed_write_leaves_nothing"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        try:
            return super().write(key, staged, resume=resume, progress=progress)
        except (LookupError, OSError) as error:
            if not isinstance(error, AlreadyExists):
                self._replace(key, b"half")
            raise


class DressesUpWhatProgressRaises(Wrong, caught_by="a_failed_write_leaves_nothing"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        try:
            return super().write(key, staged, resume=resume, progress=progress)
        except (LookupError, OSError) as error:
            if isinstance(error, AlreadyExists):
                raise
            raise Unavailable(key) from error


class NeverTellsProgress(Wrong, caught_by="progress_is_told_before_the_object_is_there"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        return super().write(key, staged, resume=resume)


class TrustsTheSize(Wrong, caught_by="a_source_that_changed_is_refused_and_leaves_nothing"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        if progress:
            progress(staged.size, None)
        return self._keep(key, staged.path.read_bytes()[: staged.size])


class NoticesOnlyTheSize(Wrong, caught_by="a_source_that_changed_is_refused_and_leaves_nothing"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        import hashlib

        digest = hashlib.sha256(staged.path.read_bytes()).hexdigest()
        return super().write(key, replace(staged, sha256=digest), resume=resume, progress=progress)


class TakesTheCallersFile(Wrong, caught_by="a_callers_own_file_is_only_read"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        written = super().write(key, staged, resume=resume, progress=progress)
        staged.path.unlink()
        return written


class PointsToTheCallersFile(Wrong, caught_by="a_callers_own_file_may_change_afterwards"):
    """As one does that links a caller's file instead of copying it."""

    def __init__(self) -> None:
        super().__init__()
        self._linked: dict[Key, Path] = {}

    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        self._linked[key] = staged.path
        return super().write(key, staged, resume=resume, progress=progress)

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        self._replace(key, self._linked[key].read_bytes())
        return super().read(key, start, end)


class LetsForeignErrorsOut(Wrong, caught_by="a_source_that_is_gone_leaves_nothing"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        staged.path.stat()
        return super().write(key, staged, resume=resume, progress=progress)


class LosesEmptyObjects(Wrong, caught_by="an_empty_object_is_an_object"):
    def stat(self, key: Key) -> ObjectStat:
        if not (found := super().stat(key)).size:
            raise NotFound(key)
        return found


class TellsNoTimeZone(Wrong, caught_by="write_and_stat_tell_key_size_and_time"):
    def stat(self, key: Key) -> ObjectStat:
        return replace(super().stat(key), modified_at=datetime.now(UTC).replace(tzinfo=None))


class TellsAnotherSize(Wrong, caught_by="write_and_stat_tell_key_size_and_time"):
    def stat(self, key: Key) -> ObjectStat:
        found = super().stat(key)
        return replace(found, size=found.size + 1)


class FindsMissingObjectsLate(Wrong, caught_by="a_missing_object_is_not_found"):
    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        def chunks() -> Iterator[bytes]:
            yield from MemoryBackend.read(self, key, start, end)

        return super().read(key, start, end) if key in self._kept else ByteStream(chunks(), 0)


class IgnoresTheEnd(Wrong, caught_by="a_range_is_cut_exactly"):
    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        return super().read(key, start)


class IncludesTheEnd(Wrong, caught_by="a_range_is_cut_exactly"):
    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        return super().read(key, start, None if end is None else end + 1)


class CutsTheFirstChunkOnly(Wrong, caught_by="a_range_may_span_chunks"):
    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        stream = super().read(key, start, end)
        return ByteStream((chunk for chunk, _ in zip(stream, "x", strict=False)), stream.length, stream.close)


class RefusesAStartBeyondTheEnd(Wrong, caught_by="a_range_is_cut_exactly"):
    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        if start >= max(1, self.stat(key).size):
            raise ValueError("range not satisfiable")
        return super().read(key, start, end)


class CountsFromTheBack(Wrong, caught_by="a_negative_range_is_refused"):
    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        return super().read(key, max(0, start), None if end is not None and end < 0 else end)


class KeepsOnStreaming(Wrong, caught_by="a_closed_stream_gives_nothing_more"):
    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        class Unstoppable(ByteStream):
            def close(self) -> None:
                """Not now."""

        return Unstoppable(super().read(key, start, end), 0)


class SharesOneFile(Wrong, caught_by="streams_do_not_disturb_each_other"):
    def __init__(self) -> None:
        super().__init__()
        self._open: dict[Key, Any] = {}

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        import io

        data = self._find(key).data
        file = self._open.setdefault(key, io.BytesIO(data))
        shared = read_range(file, start, len(data) if end is None else end)
        return ByteStream(shared, shared.length)


class DropsOddCharacters(Wrong, caught_by="every_portable_key_can_be_used"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        return super().write(Key(key.replace("+", " ")), staged, resume=resume, progress=progress)


class CutsLongKeys(Wrong, caught_by="the_longest_key_can_be_used"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        return super().write(Key(key[:1000].rstrip("/")), staged, resume=resume, progress=progress)


class FoldsCase(Wrong, caught_by="keys_that_differ_in_case_are_never_mixed_up"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        return self._replace(Key(key.lower()), staged.path.read_bytes())

    def _find(self, key: Key) -> Any:
        return super()._find(Key(key.lower()))


class TakesFoldersForObjects(Wrong, caught_by="a_folder_is_not_an_object"):
    def stat(self, key: Key) -> ObjectStat:
        if key not in self._kept and next(self.list(key), None):
            return ObjectStat(key=key, size=0, modified_at=datetime.now(UTC))
        return super().stat(key)


class ListsInOrderOfWriting(Wrong, caught_by="a_listing_is_recursive_and_in_order_of_key"):
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        order = list(self._kept)
        return iter(sorted(super().list(prefix), key=lambda each: order.index(each.key)))


class ListsFolderByFolder(Wrong, caught_by="a_listing_is_recursive_and_in_order_of_key"):
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        return iter(sorted(super().list(prefix), key=lambda each: each.key.split("/")))


class ListsOneLevel(Wrong, caught_by="a_listing_is_recursive_and_in_order_of_key"):
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        return (each for each in super().list(prefix) if each.key.count("/") <= prefix.count("/") + 1)


class ListsByTheStartOfAName(Wrong, caught_by="a_prefix_is_a_folder_and_not_the_start_of_a_name"):
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        Key(prefix or "x")
        return (each for each in super().list() if each.key.startswith(prefix))


class ListsAnObjectAsItsOwnFolder(Wrong, caught_by="a_prefix_that_is_no_folder_lists_nothing"):
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        return (each for each in super().list() if f"{each.key}/".startswith(f"{Key(prefix)}/" if prefix else ""))


class ListsNothingWithoutAPrefix(Wrong, caught_by="no_prefix_lists_everything"):
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        return super().list(prefix) if prefix else iter(())


class ListsAnyPrefix(Wrong, caught_by="a_prefix_that_is_no_key_is_refused"):
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        return (each for each in super().list() if each.key.startswith(f"{prefix}/" if prefix else ""))


class ListsOnePage(Wrong, caught_by="more_than_a_page_is_listed_in_order_and_deleted_at_once"):
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        return (each for each, _ in zip(super().list(prefix), range(1000), strict=False))


class DeletesOnePage(Wrong, caught_by="more_than_a_page_is_listed_in_order_and_deleted_at_once"):
    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        return super().delete(keys[:1000])


class PagesByNumber(Wrong, caught_by="what_is_listed_may_be_deleted_meanwhile"):
    """What is deleted meanwhile moves the rest up, and every other page is passed over."""

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        Key(prefix or "x")
        return self._pages(prefix)

    def _pages(self, prefix: str) -> Iterator[ObjectStat]:
        seen = 0
        while page := list(MemoryBackend.list(self, prefix))[seen : seen + 5]:
            yield from page
            seen += 5


class ListsWrongSizes(Wrong, caught_by="a_listing_tells_what_stat_tells"):
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        return (replace(each, size=0) for each in super().list(prefix))


class LiesOnDelete(Wrong, caught_by="delete_tells_what_it_really_removed"):
    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        super().delete(keys)
        return frozenset(keys)


class MindsMissingObjects(Wrong, caught_by="delete_tells_what_it_really_removed"):
    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        for key in keys:
            self.stat(key)
        return super().delete(keys)


class DeletesByPrefix(Wrong, caught_by="what_is_deleted_is_gone_and_the_rest_stays"):
    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        found = [each for each in self._kept for key in keys if each.startswith(key)]
        return super().delete(found) & frozenset(keys)


class OnlyHides(Wrong, caught_by="a_deleted_key_is_free_again"):
    def __init__(self) -> None:
        super().__init__()
        self._gone: set[Key] = set()

    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        removed = super().delete(keys)
        self._gone |= removed
        return removed

    def _keep(self, key: Key, data: bytes) -> ObjectStat:
        if key in self._gone:
            raise AlreadyExists(key)
        return super()._keep(key, data)


class CopiesByReference(Wrong, caught_by="a_copy_stands_on_its_own"):
    def __init__(self) -> None:
        super().__init__()
        self._copies: dict[Key, Key] = {}

    def copy(self, source: Key, target: Key) -> ObjectStat:
        copied = super().copy(source, target)
        self._copies[source] = target
        return copied

    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        return super().delete([*keys, *(self._copies[key] for key in keys if key in self._copies)])


class MovesByCopying(Wrong, caught_by="a_move_changes_the_key_alone"):
    def move(self, source: Key, target: Key) -> ObjectStat:
        return self.copy(source, target)


class MovesOverOthers(Wrong, caught_by="copy_and_move_replace_nothing"):
    def move(self, source: Key, target: Key) -> ObjectStat:
        data = self._find(source).data
        self._kept.pop(source)
        return self._replace(target, data)


class CopiesNothingFromNowhere(Wrong, caught_by="copy_and_move_need_a_source"):
    def copy(self, source: Key, target: Key) -> ObjectStat:
        if source not in self._kept:
            return self._keep(target, b"")
        return super().copy(source, target)


class PrunesUnderWriters(Wrong, caught_by="writers_are_not_disturbed_by_deletes_beside_them"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        written = super().write(key, staged, resume=resume, progress=progress)
        if key.endswith("/33.wav"):
            self._kept.pop(key)  # as when its folder went between being made and being used
        return written


class SignsNothingButSaysNothing(Wrong, caught_by="it_signs_or_says_that_it_does_not"):
    def sign(self, keys: Sequence[Key], *, expires: timedelta, download_as: str | None = None) -> dict[Key, Any]:
        return {}


class SaysThatItSigns(Wrong, caught_by="it_grants_uploads_or_says_that_it_does_not"):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(signs=True)


class StagesNowhere(Wrong, caught_by="its_staging_place_is_a_folder"):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(staging=Path("/nowhere/at/all"))


class HasANewNameEachTime(Wrong, caught_by="it_has_a_name_that_stays"):
    @property
    def name(self) -> str:
        return f"memory-{datetime.now(UTC).timestamp()}"


class GarblesLongObjects(Wrong, caught_by="an_object_of_many_chunks_keeps_every_byte"):
    def _keep(self, key: Key, data: bytes) -> ObjectStat:
        return super()._keep(key, data[: 1024 * 1024] + bytes(len(data[1024 * 1024 :])))


class GarblesEverything(Wrong, caught_by="what_is_written_is_read_back"):
    def _keep(self, key: Key, data: bytes) -> ObjectStat:
        return super()._keep(key, data.replace(b"\r\n", b"\n").upper())
