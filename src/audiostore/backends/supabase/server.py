"""One bucket on one server: its addresses, calls to it, and refusals that need a second look."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

from audiostore.access import Access, Accessing, claims
from audiostore.errors import AudioStoreError, ConfigurationError, FileTooLarge, NotFound, PermissionDenied, Unavailable
from audiostore.keys import Key
from audiostore.models import ObjectStat
from audiostore.refusals import Refusal, fields_of
from audiostore.transport import Answer, Body, Call, Patience, Stream, Transport

_TOO_LARGE = 413
_OUTSIDE = 416


class OutsideObject(Exception):
    """A range that begins beyond the object's end. It does not leave this package."""


class Server:
    """Calls to the storage API about one bucket. Paths below are below its ``/storage/v1``."""

    def __init__(self, accessing: Accessing, bucket: str, transport: Transport) -> None:
        self.accessing = accessing
        self.bucket = bucket
        self.transport = transport

    @property
    def url(self) -> str:
        return self.accessing().url

    def path(self, route: str, key: Key | None = None) -> str:
        """``/object``, bucket, key. All but letters and digits is escaped, so nothing in a key acts on the address."""
        parts = [route, quote(self.bucket, safe=""), *([] if key is None else [quote(key, safe="/")])]
        return "/".join(parts)

    def call(
        self,
        method: str,
        path: str,
        what: str,
        *,
        data: object = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        patience: Patience | None = None,
    ) -> Answer:
        access = self.accessing()
        size = int((headers or {}).get("Upload-Length", body.length if body else 0))
        call = Call(
            method=method,
            url=access.url + path,
            what=what,
            headers={**access.headers, **(headers or {})},
            data=data,
            body=body,
            repeatable=repeatable,
            explain=lambda refusal: self._explain(access, refusal, what, size),
        )
        return self.transport.send(call, patience)

    def open(self, path: str, what: str, headers: Mapping[str, str], patience: Patience) -> Stream:
        """GET, streaming."""
        access = self.accessing()
        call = Call(
            method="GET",
            url=access.url + path,
            what=what,
            headers={**access.headers, **headers},
            repeatable=True,
            explain=lambda refusal: self._explain(access, refusal, what, 0),
        )
        return self.transport.open(call, patience)

    def info(self, key: Key, patience: Patience | None = None) -> Mapping[str, Any]:
        """Everything the server knows of an object. Raises NotFound only if the server says so of the object."""
        answer = self.call("GET", self.path("/object/info", key), key, repeatable=True, patience=patience)
        return fields(answer)

    def look(self, key: Key, patience: Patience | None = None) -> Mapping[str, Any] | None:
        """See what a change did: ``info``, or None. Being refused now says nothing about the change: Unavailable."""
        try:
            return self.info(key, patience)
        except NotFound:
            return None
        except Unavailable:
            raise
        except AudioStoreError as error:
            raise Unavailable(f"{key}: what became of it can't be seen") from error

    def stat(self, key: Key, patience: Patience | None = None) -> ObjectStat:
        return stat_of(key, self.info(key, patience))

    def _explain(self, access: Access, refusal: Refusal, what: str, size: int) -> Exception | None:
        missing = refusal.bucket_is_missing or (refusal.status, refusal.code) == (404, "InvalidRequest")
        if missing and not refusal_is_honest(access):
            return PermissionDenied(f"{what}: the token has expired")
        if missing:
            return self._why_no_bucket(access)
        if refusal.status == _TOO_LARGE:
            return self.too_large(size)
        if refusal.status == _OUTSIDE:
            return OutsideObject(what)
        if "Upload-Offset" in refusal.message:
            return Unavailable(f"{what}: the server is at another byte")
        if "claim timestamp check failed" in refusal.message:
            return PermissionDenied(f"{what}: the token has expired")
        return None

    def too_large(self, size: int) -> AudioStoreError:
        """Give the error of a file over the server's limit: the bucket's, if one is set and we may see it."""
        try:
            limit = fields(self._ask("GET", self.path("/bucket"), None)).get("file_size_limit")
        except AudioStoreError:
            limit = None  # the refusal itself is certain; only its number is not
        # The limit of the whole project is not told; what was sent is over it.
        return FileTooLarge(limit=limit if isinstance(limit, int) else max(0, size - 1), size=size)

    def _why_no_bucket(self, access: Access) -> AudioStoreError:
        """Tell a missing bucket from a token that the server does not take: its reading routes answer both alike."""
        try:
            self._ask("POST", self.path("/object/list-v2"), {"limit": 1})
        except (PermissionDenied, Unavailable) as error:
            return error
        except AudioStoreError:
            pass  # it says what we are about to say
        return ConfigurationError(
            f"bucket {self.bucket!r} does not exist, or role {access.role or 'of this key'} may not see it;"
            " SupabaseBackend.ensure_bucket() makes it"
        )

    def _ask(self, method: str, path: str, data: object) -> Answer:
        access = self.accessing()
        return self.transport.send(
            Call(
                method=method,
                url=access.url + path,
                what=f"bucket {self.bucket}",
                headers=access.headers,
                data=data,
                repeatable=True,
            )
        )


def refusal_is_honest(access: Access) -> bool:
    expiry = claims(access.token).get("exp")
    return not isinstance(expiry, int | float) or expiry > time.time()


def fields(answer: Answer) -> Mapping[str, Any]:
    """Read an answer that must be one JSON object."""
    told = fields_of(answer.json())
    if told is None:
        raise Unavailable(f"{answer.what}: an answer that can't be read")
    return told


def rows(answer: Answer, told: object) -> list[Mapping[str, Any]]:
    """Read a list of JSON objects that is all of an answer, or a part of it."""
    listed = cast("list[object]", told) if isinstance(told, list) else [None]
    found = [row for each in listed if (row := fields_of(each)) is not None]
    if len(found) != len(listed):
        raise Unavailable(f"{answer.what}: an answer that can't be read")
    return found


def stat_of(key: Key, told: Mapping[str, Any]) -> ObjectStat:
    """Read an object as ``info`` tells it, or as a listing does, which has half of it in ``metadata``."""
    listed = None if "size" in told else fields_of(told.get("metadata"))
    try:
        if listed is None:
            size, modified, etag, kind = told["size"], told["last_modified"], told.get("etag"), told.get("content_type")
        else:
            size, modified, etag, kind = (
                listed["size"],
                told["updated_at"],
                listed.get("eTag"),
                listed.get("mimetype"),
            )
        since = datetime.fromisoformat(modified)
        return ObjectStat(key=key, size=int(size), modified_at=since, etag=etag, content_type=kind)
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"{key}: an answer that can't be read") from error
