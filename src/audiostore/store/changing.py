"""Chapter four: files move about and go. delete = hide → erase → forget, which is put backwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from audiostore.cancelling import check_cancelled, undo_if_cancelled
from audiostore.errors import AlreadyExists, AudioStoreError, NotFound
from audiostore.ids import new_id
from audiostore.models import UNSET, AudioFile, Limits, Place, PlaceId, Removal, Unset, Upload, parse_text
from audiostore.protocols import Request, Written
from audiostore.reports import Promotion
from audiostore.staging import staging_area
from audiostore.store.heartbeat import StorageOutage
from audiostore.store.reading import PAGE, verify
from audiostore.store.writing import Wanted, Writing


class Changing(Writing):
    """``move copy promote promote_all``, ``delete delete_project delete_owner``."""

    def move(
        self,
        file: AudioFile | str,
        *,
        owner: str | None = None,
        project: PlaceId | Unset = UNSET,
        chapter: PlaceId | Unset = UNSET,
        section: PlaceId | Unset = UNSET,
    ) -> AudioFile:
        """Put the file at another place of a book; what is not given stays. Only the record changes, no byte moves."""
        record = self._resolve(file, owner)
        with self.events.operation("move", owner=record.owner, file=record.id, key=record.key):
            return self.catalog.move(record.owner, record.id, _elsewhere(record, project, chapter, section))

    def copy(
        self,
        file: AudioFile | str,
        *,
        owner: str | None = None,
        project: PlaceId | Unset = UNSET,
        chapter: PlaceId | Unset = UNSET,
        section: PlaceId | Unset = UNSET,
        filename: str | None = None,
    ) -> AudioFile:
        """Make a second file of the same bytes, at another place of the owner's books; charged like any other.

        Raises:
            QuotaExceeded: no room for the copy. Otherwise as ``put``.

        """

        def take(record: AudioFile) -> AudioFile:
            place = _elsewhere(record, project, chapter, section)
            return self._copy(record, place, filename or record.filename)

        return self._follow(file, owner, take)

    def promote(self, file: AudioFile | str, *, owner: str | None = None) -> AudioFile:
        """Bring a file that a fallback took in to the primary backend: same id, verified bytes, no charge.

        Nothing to do (and the record as it is) if it lives there already.

        Raises:
            ChecksumMismatch: the fallback's bytes are not those that were stored; nothing changed.
            Unavailable: the primary is still away; nothing changed.

        """
        return self._follow(file, owner, self._promote)

    def promote_all(self, owner: str | None = None, *, source: str | None = None) -> Iterator[Promotion]:
        """Promote every file of *owner* (``None``: of everyone) that is not in the primary backend, one by one.

        Gives each with what became of it, so that one that can't be moved now keeps no other waiting. *source* takes
        only those of the backend with that name. Stopped or killed midway it has lost nothing: the next call goes on.

        >>> [moved.error for moved in store.promote_all()]
        []

        Raises:
            ConfigurationError: no backend is called *source*. Unavailable: the catalog can't be reached.

        """
        if source is not None:
            self._backend(source)
        after = None
        while page := self.catalog.list(owner, after=after, limit=PAGE):
            for record in page:
                check_cancelled()
                if record.backend != self.backend.name and source in {None, record.backend}:
                    yield from self._promotion(record)
            after = page[-1].id

    def _promotion(self, record: AudioFile) -> Iterator[Promotion]:
        try:
            yield Promotion(file=self.promote(record))
        except NotFound as error:
            if self.catalog.find([record.id]):
                yield Promotion(file=record, error=error)  # its bytes are gone, which is worse than deleted meanwhile
        except AudioStoreError as error:
            yield Promotion(file=record, error=error)

    def delete(self, file: AudioFile | str, *, owner: str | None = None) -> None:
        """Delete the file: from now on nobody finds it, then its bytes go, then they are no longer counted.

        If the backend can't be reached, the bytes wait for ``sweep`` and count until then.

        Raises:
            NotFound: no such file for *owner*, or it was deleted before.

        """
        record = self._resolve(file, owner)
        with self.events.operation("delete", owner=record.owner, file=record.id, key=record.key, bytes=record.size):
            self._erase(self.catalog.hide(record.owner, [record.id]))
            self._shut(sent_directly([record]))

    def delete_project(self, owner: str, project: str | int) -> int:
        """Delete everything *owner* has in *project*, uploads that are under way included; how many files that were."""
        owner, place = parse_text("owner", owner), Place.of(project)
        with self.events.operation("delete_project", owner=owner) as operation:
            count = self._delete_all(owner, place)
            operation.learn(facts={"files": count})
        return count

    def delete_owner(self, owner: str) -> int:
        """Delete everything *owner* has, uploads under way and their own quota included; how many files that were."""
        owner = parse_text("owner", owner)
        with self.events.operation("delete_owner", owner=owner) as operation:
            count = self._delete_all(owner, Place())
            self.catalog.set_override(owner, None)
            operation.learn(facts={"files": count})
        return count

    def _delete_all(self, owner: str, place: Place) -> int:
        under_way = [each for each in self.catalog.pending(owner) if place.project in (None, each.place.project)]
        for reservation in under_way:
            self._erase_what_came(self.catalog.release(reservation.id), reservation.backend)
        count = 0
        while page := self.catalog.list(owner, place, limit=PAGE):
            check_cancelled()
            hidden: Sequence[Removal] = self.catalog.hide(owner, [file.id for file in page])
            count += len(hidden)
            self._erase(hidden)
            self._shut(sent_directly(page))
        return count

    def _copy(self, record: AudioFile, place: Place, filename: str) -> AudioFile:
        limits = self._limits(record.owner)
        with self.events.operation("copy", owner=record.owner, bytes=record.size) as operation:
            reservation = self.catalog.reserve(self._copy_request(record, place, filename, limits))
            operation.learn(file=reservation.file_id, key=reservation.key, backend=reservation.backend)
            try:
                self._backend(record.backend).copy(record.key, reservation.key)
                written = Written(
                    size=record.size,
                    sha256=record.sha256,
                    content_type=record.content_type,
                    duration=record.duration,
                )
                check_cancelled()
                copied, _ = self.catalog.commit(reservation.id, written, limits=limits)
            except BaseException as error:
                self._undo(reservation, error, ours=not isinstance(error, AlreadyExists))
                raise
        undo_if_cancelled(partial(self._take_back, copied))
        return copied

    def _promote(self, record: AudioFile) -> AudioFile:
        if record.backend == self.backend.name:
            return record
        with self.events.operation("promote", owner=record.owner, file=record.id, bytes=record.size) as operation:
            limits = self._limits(record.owner)
            with (
                staging_area(self.backend.capabilities.staging) as area,
                self._backend(record.backend).read(record.key) as stream,
            ):
                staged = area.take(stream, filename=record.filename, content_type=record.content_type)
                verify(record, staged.sha256)
                wanted = Wanted(
                    owner=record.owner,
                    place=record.place,
                    metadata=record.metadata,
                    replaces=record,
                    only_over=record.key,
                    limits=limits,
                )
                staged = staged.become(staged.path, duration=record.duration)
                try:
                    return self._keep_in(self.backend, staged, wanted, operation)
                except StorageOutage as outage:
                    raise outage.error from outage.error.__cause__

    def _copy_request(self, record: AudioFile, place: Place, filename: str, limits: Limits | None) -> Request:
        upload = Upload(
            id=new_id(),
            owner=record.owner,
            place=place,
            filename=filename,
            content_type=record.content_type,
            size=record.size,
            sha256=record.sha256,
        )
        return Request(
            id=upload.id,
            owner=upload.owner,
            place=place,
            filename=filename,
            key=self._key(upload),
            backend=record.backend,
            size=record.size,
            content_type=record.content_type,
            limits=limits,
            ttl=self.ttl,
            sha256=record.sha256,
            metadata=record.metadata,
        )


def sent_directly(files: Iterable[AudioFile]) -> list[AudioFile]:
    """Give those that came straight from a browser: nobody has hashed them."""
    return [each for each in files if each.sha256 is None]


def _elsewhere(
    record: AudioFile, project: PlaceId | Unset, chapter: PlaceId | Unset, section: PlaceId | Unset
) -> Place:
    return Place.of(
        record.project if isinstance(project, Unset) else project,
        record.chapter if isinstance(chapter, Unset) else chapter,
        record.section if isinstance(section, Unset) else section,
    )
