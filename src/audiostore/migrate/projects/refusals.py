"""What a database says of the app's own table, in our words."""

from __future__ import annotations

from typing import Final

from audiostore.catalogs.postgres.states import APPLY, error_of
from audiostore.errors import ConfigurationError

_NOT_THERE: Final = frozenset({"42P01", "42703", "3F000", "PGRST205", "PGRST204", "PGRST106"})
_NO_FUNCTION: Final = frozenset({"42883", "PGRST202"})
_NO_SUCH_VALUE: Final = frozenset({"22P02", "22003", "22007"})


class Strange(ValueError):
    """A text that no value of the column's type is: no row can have it."""


def explain(code: str, message: str, what: str) -> Exception:
    """Give the error that a SQLSTATE, or a code of PostgREST's, is."""
    if code in _NOT_THERE:
        return ConfigurationError(f"{what}: {message or code}")
    if code in _NO_FUNCTION:
        return ConfigurationError(f"{what}: the database lacks audiostore's functions; run {APPLY!r}")
    if code in _NO_SUCH_VALUE:
        return Strange(f"{what}: {message}")
    return error_of(code, message, what)
