"""Backends that read wrongly, mistake their keys, or say the wrong things about themselves."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from audiostore.backends.memory import MemoryBackend
from audiostore.errors import NotFound
from audiostore.keys import Key
from audiostore.models import ObjectStat, Staged
from audiostore.protocols import Capabilities, Progress
from audiostore.streams import ByteStream, read_range
from tests.backends.wrong import Wrong


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
