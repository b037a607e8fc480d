"""Listings, page after page."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from audiostore.backends.supabase.server import Server, fields, rows, stat_of
from audiostore.errors import InvalidKey, Unavailable
from audiostore.keys import Key
from audiostore.models import ObjectStat

PAGE = 1000
"""The server gives no more at once, whatever is asked for."""
_PLACEHOLDER = ".emptyFolderPlaceholder"
_log = logging.getLogger("audiostore")


def list_objects(server: Server, prefix: str) -> Iterator[ObjectStat]:
    """Give every object whose name starts with *prefix*, in byte order.

    The route that lists flat sorts by byte; the older one sorts like a person, folder by folder, and loses folders
    when asked to sort downwards.
    """
    cursor: str | None = None
    while True:
        asked: dict[str, object] = {"prefix": prefix, "limit": PAGE, "with_delimiter": False}
        if cursor is not None:
            asked["cursor"] = cursor
        answer = server.call(
            "POST", server.path("/object/list-v2"), f"list of {prefix or 'all'}", data=asked, repeatable=True
        )
        page = fields(answer)
        for row in rows(answer, page.get("objects")):
            if (found := _found(row)) is not None:
                yield found
        if not page.get("hasNext"):
            return
        following = page.get("nextCursor")
        if not isinstance(following, str) or following == cursor:
            raise Unavailable("list: an answer that can't be read", retryable=True)
        cursor = following


def _found(row: Mapping[str, Any]) -> ObjectStat | None:
    name = str(row.get("name", ""))
    if name.rpartition("/")[2] == _PLACEHOLDER:
        return None  # what the dashboard puts into an empty folder
    try:
        return stat_of(Key(name), row)
    except InvalidKey as error:
        _log.warning("an object in the bucket has a name that no store gave it, and is not listed: %s", error)
        return None
