"""A side door of the facade, for what already is audio of somebody's and comes from elsewhere: a migration's files.

What it takes is measured already, and stays as it is: no processor runs. The rest is as in ``put``: room is reserved,
bytes are written and recorded, and whatever fails on the way is undone. A fallback takes none of it.
"""

# ruff: noqa: SLF001 - it is a chapter of the facade, and no word of its own for those who use one

from __future__ import annotations

from dataclasses import replace

from audiostore.errors import UnsupportedAudio
from audiostore.models import AudioFile, Staged, allows
from audiostore.store.heartbeat import StorageOutage
from audiostore.store.writing import Wanted, Writing


def take_over(store: Writing, staged: Staged, wanted: Wanted) -> AudioFile:
    """Store *staged* in the primary backend as *wanted* says. Raises as ``put`` does, and what ``wanted.check`` raises.

    With an idempotency key, a call that follows an interrupted one goes on with its reservation.
    """
    limits = store._limits(wanted.owner)
    types = None if limits is None else limits.types  # a catalog's own numbers have none
    if types is not None and not allows(types, staged.content_type):
        raise UnsupportedAudio("type", f"{staged.content_type} is not among {', '.join(sorted(types))}")
    with store.events.operation("migrate", owner=wanted.owner, bytes=staged.size) as operation:
        try:
            return store._keep_in(store.backend, staged, replace(wanted, limits=limits), operation)
        except StorageOutage as outage:
            raise outage.error from outage.error.__cause__
