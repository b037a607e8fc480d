"""What a database in memory needs of the project it belongs to."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol


class Surroundings(Protocol):
    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held during every transaction."""
        ...

    @property
    def now(self) -> datetime: ...

    def new_id(self) -> str: ...
