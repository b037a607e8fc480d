"""Backends that are wrong in one way each; ``CAUGHT_BY`` names the test of the suite that must say so."""

from __future__ import annotations

from typing import Any

from audiostore.backends.memory import MemoryBackend
from audiostore.keys import Key
from audiostore.models import ObjectStat

CAUGHT_BY: dict[type[Wrong], str] = {}


class Wrong(MemoryBackend):
    def __init_subclass__(cls, caught_by: str, **options: Any) -> None:
        super().__init_subclass__(**options)
        CAUGHT_BY[cls] = f"test_{caught_by}"

    def _replace(self, key: Key, data: bytes) -> ObjectStat:
        self._kept.pop(key, None)
        return self._keep(key, data)
