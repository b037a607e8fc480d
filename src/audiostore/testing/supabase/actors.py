"""Who asks, and what for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Operation = Literal["select", "insert", "update", "delete"]
OPERATIONS: Final[tuple[Operation, ...]] = ("select", "insert", "update", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks: the claims of a token."""

    role: str
    sub: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict[str, Any])
