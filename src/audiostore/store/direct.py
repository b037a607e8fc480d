"""Chapter two: bytes that go straight from the browser to where they will live. begin → PUT → finish."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import partial

from audiostore import media
from audiostore.cancelling import undo_if_cancelled
from audiostore.errors import (
    AlreadyExists,
    AudioStoreError,
    FileTooLarge,
    NotFound,
    QuotaExceeded,
    ReservationExpired,
    Unavailable,
    UnsupportedAudio,
)
from audiostore.events import Progressing
from audiostore.ids import new_id
from audiostore.models import (
    AudioFile,
    Limits,
    Metadata,
    Place,
    PlaceId,
    Reservation,
    Upload,
    UploadGrant,
    allows,
    parse_text,
)
from audiostore.protocols import Backend, Request, Written
from audiostore.signing import Link
from audiostore.sizes import Size, parse_size
from audiostore.sources import Source, base_name
from audiostore.staging import staging_area
from audiostore.store.writing import Wanted, Writing

HOUR = timedelta(hours=1)


class DirectUploads(Writing):
    """``begin_upload finish_upload cancel_upload``, and ``receive`` for the links that this app serves itself."""

    def begin_upload(
        self,
        *,
        owner: str,
        size: Size,
        filename: str | None = None,
        project: PlaceId = None,
        chapter: PlaceId = None,
        section: PlaceId = None,
        content_type: str | None = None,
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
        expires: timedelta = HOUR,
    ) -> UploadGrant:
        """Reserve room for *size* bytes and give a link to which a browser may send them, until *expires* from now.

        The room is charged from now on; if nobody finishes the upload, a sweep gives it back once the link is dead. The
        link binds method, key, size, type and expiry. (Supabase's bind no size, and live for two hours: so long there
        is room. What comes by one whose upload is over, is too much or was deleted is erased by a later sweep.)

        >>> grant = store.begin_upload(owner="alice", size="2 MB", filename="take.wav", project="p1")
        >>> grant.method
        'PUT'

        Raises:
            QuotaExceeded, FileTooLarge, UnsupportedAudio: refused before a byte was sent.
            AlreadyExists: the idempotency key was used for something else, or its upload is finished.
            ConfigurationError: the app serves its own links and the store has no secret.
            ValueError: an empty owner or id, a size of nothing, or *expires* not in the future.

        """
        name = base_name(filename) or "audio"
        kind = media.normalise(content_type) if content_type else media.type_of_name(name) or "application/octet-stream"
        limits = self._limits(parse_text("owner", owner))
        allowed = None if limits is None else limits.types
        if allowed is not None and not allows(allowed, kind):
            raise UnsupportedAudio("type", f"{kind} is not among {', '.join(sorted(allowed))}")
        if (count := parse_size(size)) == 0:
            raise UnsupportedAudio("empty", "there are no bytes in it")
        if expires <= timedelta(0):
            raise ValueError("expires must be in the future")
        upload = Upload(
            id=new_id(),
            owner=owner,
            place=Place.of(project, chapter, section),
            filename=name if media.has_suffix(name) else name + media.suffix_for(kind),
            content_type=kind,
            size=count,
        )
        with self.events.operation("begin_upload", owner=owner, bytes=count) as operation:
            # Who has the link can send as long as it works, so that long there is room for it.
            ttl = max(expires, self._upload_life(self.backend.name)) + self.ttl
            request = self._upload_request(upload, limits, metadata, idempotency_key, ttl)
            reservation = self.catalog.reserve(request)
            operation.learn(file=reservation.file_id, key=reservation.key, backend=reservation.backend)
            if reservation.state == "committed":
                raise AlreadyExists(f"upload {reservation.id} is finished", reason="idempotency")
            try:
                grant = self._grant(reservation, expires)
            except AudioStoreError:
                if reservation.id == upload.id:  # an earlier call's upload goes on
                    self.catalog.release(reservation.id, erase=False)
                raise
        if idempotency_key is None:
            undo_if_cancelled(partial(self.catalog.release, reservation.id, erase=False))
        return grant

    def finish_upload(self, grant: UploadGrant | str, *, owner: str | None = None) -> AudioFile:
        """Look at what arrived, settle its true size against the quota, and give its record. Again gives the same.

        *grant* is what ``begin_upload`` gave, or its ``reservation`` (then *owner* is asked for). What does not fit,
        or is not allowed, is erased. With a processor, the bytes are fetched and processed as in ``put``.

        Raises:
            NotFound: no such reservation for *owner*, or no bytes arrived yet (the link still works).
            ReservationExpired: too late; nothing is kept or charged.
            QuotaExceeded, FileTooLarge, UnsupportedAudio: refused; nothing is kept or charged.
            Unavailable, and whatever else: what arrived stays as it is until the reservation expires; try again.

        """
        reservation = self._granted(grant, owner)
        if reservation.state != "pending":
            if found := self.catalog.find([reservation.file_id]):
                return found[0]
            raise ReservationExpired(reservation.id)
        with self.events.operation("finish_upload", owner=reservation.owner, key=reservation.key) as operation:
            try:
                file = self._settle(reservation, operation)
            except (QuotaExceeded, FileTooLarge, UnsupportedAudio) as refusal:
                self._refuse(reservation, refusal)
                raise
            except ReservationExpired:
                if found := self.catalog.find([reservation.file_id]):
                    return found[0]  # another call has finished it meanwhile
                raise
            operation.learn(file=file.id, backend=file.backend, bytes=file.size)
            return file

    def cancel_upload(self, grant: UploadGrant | str, *, owner: str | None = None) -> None:
        """Give back what ``begin_upload`` reserved, and erase what has arrived; nothing to do if it is finished.

        >>> store.cancel_upload(store.begin_upload(owner="alice", size="2 MB", filename="take.wav"))

        Raises:
            NotFound: no such reservation for *owner*.

        """
        reservation = self._granted(grant, owner)
        with self.events.operation("cancel_upload", owner=reservation.owner, key=reservation.key):
            self._erase_what_came(self.catalog.release(reservation.id), reservation.backend)

    def receive(self, link: Link, body: Source, *, content_length: int | None = None) -> None:
        """Take the bytes of a direct upload, as ``serve`` does for a PUT to one of our own links.

        Raises:
            NotFound, ReservationExpired, AlreadyExists: the reservation is not waiting for bytes (any more).
            FileTooLarge: more than the link grants. Unavailable: the client broke off; nothing was kept.

        """
        reservation = self.catalog.reservation(link.reservation or "")
        if reservation.state == "committed":
            raise AlreadyExists(link.key)
        granted = (reservation.backend, reservation.key)
        if reservation.state != "pending" or granted != (link.backend, link.key):
            raise ReservationExpired(reservation.id)
        backend = self._backend(reservation.backend)
        limit = reservation.size
        with staging_area(backend.capabilities.staging) as area:
            staged = area.take(
                body,
                filename=reservation.filename,
                content_type=reservation.content_type,
                limit=limit,
                refuse=partial(_over_grant, limit),
            )
            if content_length is not None and staged.size != content_length:
                raise Unavailable(f"the upload broke off after {staged.size} bytes", retryable=True)
            backend.write(reservation.key, staged, progress=self._heartbeat(reservation, None))
        if self.catalog.reservation(reservation.id).state in {"released", "expired"}:
            # Whoever ended it may have erased the key before our bytes came to lie there.
            self.catalog.discard(reservation.backend, [reservation.key], timedelta(0))
            raise ReservationExpired(reservation.id)

    def _refuse(self, reservation: Reservation, refusal: AudioStoreError) -> None:
        try:
            self._erase_what_came(self.catalog.release(reservation.id), reservation.backend)
        except AudioStoreError as second:
            refusal.add_note(f"and the reservation could not be released, it will expire: {second}")

    def _granted(self, grant: UploadGrant | str, owner: str | None) -> Reservation:
        if isinstance(grant, str) and owner is None:
            raise TypeError("pass owner= with a reservation id: who is asking?")
        reservation = self.catalog.reservation(grant if isinstance(grant, str) else grant.reservation)
        if owner is not None and reservation.owner != owner:
            raise NotFound(f"reservation {reservation.id}")
        return reservation

    def _upload_request(
        self,
        upload: Upload,
        limits: Limits | None,
        metadata: Metadata | None,
        idempotency_key: str | None,
        ttl: timedelta,
    ) -> Request:
        return Request(
            id=upload.id,
            owner=upload.owner,
            place=upload.place,
            filename=upload.filename,
            key=self._key(upload),
            backend=self.backend.name,
            size=upload.size,
            content_type=upload.content_type,
            limits=limits,
            ttl=ttl,
            metadata=dict(metadata or {}),
            idempotency_key=idempotency_key,
        )

    def _grant(self, reservation: Reservation, expires: timedelta) -> UploadGrant:
        backend = self._backend(reservation.backend)
        if backend.capabilities.signs:
            return backend.sign_upload(
                reservation.key,
                size=reservation.size,
                content_type=reservation.content_type,
                expires=expires,
                reservation=reservation.id,
            )
        link = Link(
            method="PUT",
            backend=backend.name,
            key=reservation.key,
            expires_at=self.signer.expiry(expires),
            size=reservation.size,
            content_type=reservation.content_type,
            reservation=reservation.id,
        )
        return UploadGrant(
            url=f"{self.base_url}/{self.signer.sign(link)}",
            method="PUT",
            headers={"Content-Type": reservation.content_type},
            expires_at=link.expires_at,
            reservation=reservation.id,
        )

    def _settle(self, reservation: Reservation, operation: Progressing) -> AudioFile:
        backend = self._backend(reservation.backend)
        size = backend.stat(reservation.key).size
        limits = self._limits(reservation.owner)
        if size == 0:
            raise UnsupportedAudio("empty", "there are no bytes in it")
        if self.process is not None:
            return self._take_in_processed(reservation, backend, operation)
        with backend.read(reservation.key, 0, media.SNIFF_BYTES) as head:
            kind = media.sniff(b"".join(head)) or reservation.content_type
        if limits is not None and limits.types is not None and not allows(limits.types, kind):
            raise UnsupportedAudio("type", f"{kind} is not among {', '.join(sorted(limits.types))}")
        # Bytes that went to a server of the backend's own are not fetched back just to hash them.
        sha256 = None if backend.capabilities.signs else _sha256(backend, reservation)
        written = Written(size=size, sha256=sha256, content_type=kind)
        file, superseded = self.catalog.commit(reservation.id, written, limits=limits)
        self._erase(superseded)
        return file

    def _take_in_processed(self, reservation: Reservation, backend: Backend, operation: Progressing) -> AudioFile:
        """Let the processor see what arrived. Its output is another file under another key, taken in like a put."""
        with (
            staging_area(self.backend.capabilities.staging) as area,
            backend.read(reservation.key) as arrived,
        ):
            staged = area.take(arrived, filename=reservation.filename, content_type=reservation.content_type)
            limits = self._limits(reservation.owner)
            staged = self._processed(area, staged, self.catalog.usage(reservation.owner, limits).limits, as_is=False)
            wanted = Wanted(
                owner=reservation.owner,
                place=reservation.place,
                metadata=reservation.metadata,
                instead_of=reservation.id,
                limits=limits,
            )
            return self._keep(staged, wanted, operation)


def _over_grant(limit: int, size: int) -> AudioStoreError:
    return FileTooLarge(limit=limit, size=size)


def _sha256(backend: Backend, reservation: Reservation) -> str:
    digest = hashlib.sha256()
    with backend.read(reservation.key) as stream:
        for chunk in stream:
            digest.update(chunk)
    return digest.hexdigest()
