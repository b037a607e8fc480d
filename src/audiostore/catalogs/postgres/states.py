"""What a database says when it fails, and what that is in our words: for both ways to it, since PostgREST passes on
the database's own codes.
"""

from __future__ import annotations

from audiostore.errors import AudioStoreError, ConfigurationError, PermissionDenied, StorageFull, Unavailable

APPLY = "audiostore schema apply"

_UNDONE = frozenset({
    "40001",  # serialization failure
    "40P01",  # deadlock
    "55P03",  # lock not available
    "57014",  # canceled: statement_timeout
    "57P03",  # starting up
    "53300",  # too many connections
    "23503",  # a user that was deleted meanwhile
    "PGRST000",
    "PGRST001",
    "PGRST002",
    "PGRST003",  # PostgREST got no connection
})  # fmt: skip
"""Nothing was done, and a little later it may be."""

_MISSING = frozenset({"42883", "42P01", "42703", "3F000", "3D000", "PGRST202", "PGRST106", "PGRST125"})
_DENIED = frozenset({"42501", "28000", "28P01", "PGRST301", "PGRST302", "PGRST303"})
_FULL = frozenset({"53100", "53200"})
_MISUSE = ("22", "54")
_ISOLATION = "25000"


def error_of(code: str, message: str, what: str) -> AudioStoreError | ValueError:
    """Give the error that a SQLSTATE (or a code of PostgREST's) is, about the call *what*."""
    if code in _UNDONE:
        return Unavailable(f"{what}: the database is busy ({code})", retryable=True)
    if code in _MISSING:
        return ConfigurationError(f"{what}: the database lacks audiostore's functions ({code}); run {APPLY!r}")
    if code in _DENIED:
        return PermissionDenied(f"{what}: {message}")
    if code in _FULL:
        return StorageFull("the database")
    if code == _ISOLATION:
        return ConfigurationError("the role's default_transaction_isolation must be 'read committed'")
    if code.startswith(_MISUSE):
        return ValueError(f"{what}: {message}")
    return Unavailable(f"{what}: the database failed ({code or 'no code'})")
