"""The ``Prefer`` header: what the caller would like, and what the answer says was done of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from audiostore.testing.supabase.database import refusals

_KNOWN: Final[dict[str, frozenset[str]]] = {
    "resolution": frozenset({"merge-duplicates", "ignore-duplicates"}),
    "return": frozenset({"representation", "minimal", "headers-only"}),
    "count": frozenset({"exact", "planned", "estimated"}),
    "missing": frozenset({"default", "null"}),
    "handling": frozenset({"strict", "lenient"}),
    "tx": frozenset({"commit", "rollback"}),
}
# The order in which an answer names them.
_APPLIED: Final = ("resolution", "missing", "return", "count", "handling", "max-affected")


class Preferences:
    """Parsed; raises ``SqlError`` for what is wrong in a strict one."""

    def __init__(self, header: str) -> None:
        self._given: dict[str, str] = {}
        wrong: list[str] = []
        for each in filter(None, (part.strip() for part in header.split(","))):
            name, _, value = each.partition("=")
            if value in _KNOWN.get(name, ()) or (name == "max-affected" and value.isdecimal()):
                self._given.setdefault(name, value)
            elif name != "timezone":
                wrong.append(each)
        if wrong and self._given.get("handling") == "strict":
            raise refusals.bad_preference(", ".join(wrong))

    @property
    def returns_rows(self) -> bool:
        return self._given.get("return") == "representation"

    @property
    def counts(self) -> bool:
        return "count" in self._given

    @property
    def missing_is_default(self) -> bool:
        return self._given.get("missing") == "default"

    @property
    def resolution(self) -> Literal["merge", "ignore"] | None:
        given = self._given.get("resolution")
        return None if given is None else "merge" if given == "merge-duplicates" else "ignore"

    def check_affected(self, count: int) -> None:
        most = self._given.get("max-affected")
        if most is not None and self._given.get("handling") == "strict" and count > int(most):
            raise refusals.too_many_affected(count)

    def applied(self, *names: str) -> Mapping[str, str]:
        """Give the header of the answer, if it has one: those of *names* that were given."""
        said = [f"{name}={self._given[name]}" for name in _APPLIED if name in names and name in self._given]
        return {"preference-applied": ", ".join(said)} if said else {}
