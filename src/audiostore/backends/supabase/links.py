"""Signed links to the server itself, for whole batches, and leave to upload."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

from audiostore.access import claims
from audiostore.backends.supabase.server import Server, fields, rows
from audiostore.backends.supabase.tus import ROUTE, upload_facts
from audiostore.errors import Unavailable
from audiostore.keys import Key
from audiostore.models import ResumableGrant, SignedUrl, UploadGrant

BATCH = 500
UPLOAD_LIFE = timedelta(hours=2)
"""How long a link to upload works: the server says so, and takes none back."""


class Links:
    """Links into one bucket."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def sign(self, keys: Sequence[Key], expires: timedelta, download_as: str | None) -> Mapping[Key, SignedUrl]:
        if expires <= timedelta(0):
            raise ValueError("expires must be in the future")
        unique = list(dict.fromkeys(keys))
        links: dict[Key, SignedUrl] = {}
        for first in range(0, len(unique), BATCH):
            links |= self._signed(unique[first : first + BATCH], expires, download_as)
        return links

    def sign_upload(
        self,
        key: Key,
        content_type: str,
        expires: timedelta,
        reservation: str,
        *,
        cache_control: str,
        chunk_size: int,
    ) -> UploadGrant:
        until = datetime.now(UTC) + expires
        answer = self._server.call(
            "POST", self._server.path("/object/upload/sign", key), key, headers={"x-upsert": "false"}, repeatable=True
        )
        told = fields(answer)
        url, token = self._absolute(key, told.get("url")), told.get("token")
        # The server decides how long its token lives; what is promised here is never longer.
        return UploadGrant(
            url=url,
            method="PUT",
            headers={"Content-Type": content_type, "Cache-Control": cache_control, "x-upsert": "false"},
            expires_at=min(until, _expiry(url) or until),
            reservation=reservation,
            resumable=ResumableGrant(
                url=f"{self._server.url}{ROUTE}/sign",
                # This header is the leave: who has it needs no key of the project.
                headers={"x-signature": str(token)},
                metadata=upload_facts(self._server.bucket, key, content_type, cache_control),
                chunk_size=chunk_size,
            ),
        )

    def _signed(self, keys: Sequence[Key], expires: timedelta, download_as: str | None) -> dict[Key, SignedUrl]:
        seconds = max(1, math.ceil(expires.total_seconds()))
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        answer = self._server.call(
            "POST",
            self._server.path("/object/sign"),
            f"links to {len(keys)} objects",
            data={"expiresIn": seconds, "paths": keys},
            repeatable=True,
        )
        # The name is outside of the signature: the server takes it from the link as it is.
        name = "" if download_as is None else f"&download={quote(download_as, safe='')}"
        links: dict[Key, SignedUrl] = {}
        for row in rows(answer, answer.json()):
            key = row.get("path")
            if row.get("signedURL") and key in keys:
                url = self._absolute(str(key), row["signedURL"]) + name
                links[Key(str(key))] = SignedUrl(url, _expiry(url) or until)
        return links

    def _absolute(self, what: str, link: object) -> str:
        if not isinstance(link, str) or not link.startswith("/"):
            raise Unavailable(f"{what}: an answer that can't be read", retryable=True)
        return self._server.url + link


def _expiry(url: str) -> datetime | None:
    told = claims(parse_qs(urlsplit(url).query).get("token", [""])[0]).get("exp")
    try:
        return datetime.fromtimestamp(told, UTC) if isinstance(told, int | float) else None
    except (OverflowError, ValueError, OSError):
        return None
