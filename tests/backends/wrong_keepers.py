"""Backends that list, delete, copy or move wrongly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from audiostore.backends.memory import MemoryBackend
from audiostore.errors import AlreadyExists
from audiostore.keys import Key
from audiostore.models import ObjectStat, Staged
from audiostore.protocols import Progress
from tests.backends.wrong import Wrong


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
