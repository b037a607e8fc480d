"""What holds a browser's uploads to their reservations: the policies and the trigger on Supabase's table of objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from audiostore.catalogs.postgres.schema import connected

_OURS: Final = "audiostore: owners upload what was reserved"
_POLICIES: Final = """
    select polname, concat_ws(' ', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
    from pg_policy
    where polrelid = to_regclass('storage.objects') and polpermissive and polcmd in ('a', 'w', '*')
        and (0 = any (polroles) or polroles && array(
            select oid from pg_roles where rolname in ('anon', 'authenticated')
        ))
    order by polname
"""
_TABLE_AND_TRIGGER: Final = """
    select to_regclass('storage.objects') is not null, exists (
        select from pg_trigger
        where tgrelid = to_regclass('storage.objects') and tgname = 'audiostore_object_changed' and tgenabled <> 'D'
    )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What holds uploads with users' tokens to their reservations.

    ``level`` 0: users may upload nothing. 1: what was reserved for them, by the size that they declare. 2: by the size
    that arrives. None: the storage server's tables are not in this database. ``others`` are the names of policies that
    let users write into the bucket whatever was reserved.
    """

    level: int | None
    others: Sequence[str] = ()


def look(dsn: str, bucket: str) -> Guard:
    """Look how uploads to *bucket* are held to their reservations. Raises what ``schema.check`` raises."""
    with connected(dsn, "the storage tables") as connection:
        row = connection.execute(_TABLE_AND_TRIGGER.encode()).fetchone()
        has_objects, watched = row if row is not None else (False, False)
        if not has_objects:
            return Guard(level=None)
        policies = [(str(name), str(rule)) for name, rule in connection.execute(_POLICIES.encode())]
    level = 2 if watched else int(any(name == _OURS for name, _ in policies))
    return Guard(level=level, others=tuple(_letting_in(policies, bucket)))


def _letting_in(policies: Sequence[tuple[str, str]], bucket: str) -> Iterator[str]:
    """Name those that are not ours, and that do not speak of other buckets alone."""
    quoted = "'{}'".format(bucket.replace("'", "''"))
    for name, rule in policies:
        if name != _OURS and ("bucket_id" not in rule or quoted in rule):
            yield name
