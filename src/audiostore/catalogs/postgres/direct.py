"""Calls over a direct connection, by psycopg."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from audiostore.catalogs.postgres.codec import PREFIX, is_repeatable
from audiostore.catalogs.postgres.connections import Connections
from audiostore.errors import Unavailable
from audiostore.transport import Patience, Timeouts


class DirectCalls:
    """Each call is one statement, and so one transaction, on one of a few connections."""

    def __init__(self, dsn: str, *, connections: int, timeouts: Timeouts) -> None:
        self._connections = Connections(dsn, connections=connections, part="PostgresCatalog.connect")
        self._timeouts = timeouts

    def call(self, method: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call one function. A call that the database undid is repeated; one whose outcome nobody knows, only if
        twice is as good as once.
        """
        told = json.dumps(request)
        patience = self._timeouts.patience()
        return patience.repeat(lambda: self._once(method, told, patience))

    def close(self) -> None:
        """Close what is idle now, and what is in use as soon as it no longer is; the next call opens again."""
        self._connections.close()

    def _once(self, method: str, told: str, patience: Patience) -> Mapping[str, Any]:
        statement = f"select public.{PREFIX}{method}(%s::jsonb)".encode()
        with self._connections.connected(method, patience, repeatable=is_repeatable(method)) as connection:
            row = connection.execute(statement, [told]).fetchone()
        answer = row[0] if row else None
        if not isinstance(answer, dict) or "status" not in answer:
            raise Unavailable(f"{method}: an answer that can't be read")
        return answer  # pyright: ignore[reportUnknownVariableType]
