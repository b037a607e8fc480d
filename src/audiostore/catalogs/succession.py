"""One catalog after another: what the earlier one holds stays listed, charged, playable and deletable."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from pathlib import Path

from audiostore.errors import from_os_error
from audiostore.models import AudioFile
from audiostore.protocols import Catalog

_log = logging.getLogger("audiostore")

PAGE = 500
LEASE = timedelta(minutes=15)


def succeed(catalog: Catalog, file: Path, earlier: Callable[[Path], Catalog]) -> None:
    """Let *catalog* take over what the catalog in *file* holds, then set the file aside as ``<name>.succeeded``.

    Records keep id, key and times, and are charged even above the quota; overrides that *catalog* has none of, and
    removals that wait, come along. Uploads that are under way are not waited for: they end as expired. Of several
    processes one does it, and the others wait for it. What is refused, since its key is spoken for, is logged, and the
    file then stays where it is for the next try.

    Raises:
        Unavailable: one of the two can't be reached; call again. PermissionDenied: the folder can't be written.

    """
    if not file.exists():
        return
    with _one_at_a_time(file.with_name(f"{file.name}.succession")):
        if not file.exists():
            return  # another process did it while we waited
        giver = earlier(file)
        try:
            refused = take_over(catalog, giver)
        finally:
            giver.close()
        if refused:
            _log.error("%d files of %s are spoken for in the new catalog, e.g. %s", len(refused), file, refused[0].id)
            return
        try:
            # Not removed: it is the way back, and proof of what was there.
            file.rename(file.with_name(f"{file.name}.succeeded"))
        except OSError as error:
            raise from_os_error(error, str(file)) from error


def take_over(catalog: Catalog, earlier: Catalog) -> list[AudioFile]:
    """Record in *catalog* what *earlier* holds; give the files that could not be, since their keys are spoken for."""
    refused: list[AudioFile] = []
    after = None
    while page := earlier.list(None, after=after, limit=PAGE):
        taken = catalog.adopt(page)
        refused += [each for each in page if each.id not in taken]
        for owner in {each.owner for each in page}:
            _take_over_override(catalog, earlier, owner)
        after = page[-1].id
    while claimed := earlier.claim(PAGE, LEASE):
        for backend, group in groupby(sorted(claimed, key=lambda each: each.backend), key=lambda each: each.backend):
            catalog.discard(backend, [each.key for each in group], timedelta(0))
        earlier.forget([each.id for each in claimed])
    return refused


def _take_over_override(catalog: Catalog, earlier: Catalog, owner: str) -> None:
    override = earlier.override(owner)
    if override is not None and catalog.override(owner) is None:
        catalog.set_override(owner, override)


@contextmanager
def _one_at_a_time(path: Path) -> Generator[None]:
    try:
        lock = path.open("wb")
    except OSError as error:
        raise from_os_error(error, str(path)) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
