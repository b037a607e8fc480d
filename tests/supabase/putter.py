"""One process that puts a file, and, if asked to, dies in the middle of it."""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from audiostore import AudioStore, FixedQuota
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.errors import Unavailable

CHUNK = 6 * 1024 * 1024


def main(url: str, key: str, source: str, catalog: str, dies_at: str) -> None:
    backend = SupabaseBackend(url, key, chunk_size=CHUNK, tus_threshold=CHUNK)
    held = timedelta(milliseconds=200)
    store = AudioStore(backend, SQLiteCatalog(Path(catalog)), quota=FixedQuota(), hold=held)

    def progress(done: int, resume: str | None) -> None:
        if int(dies_at) and done >= int(dies_at):
            os.kill(os.getpid(), signal.SIGKILL)

    while True:
        try:
            file = store.put(source, owner="alice", filename="book.wav", idempotency_key="k1", progress=progress)
        except Unavailable as error:
            if not error.retryable:
                raise
            continue  # the process that died still counts as alive for a moment
        print(file.key, file.sha256)  # noqa: T201 - the answer to the test
        return


if __name__ == "__main__":
    main(*sys.argv[1:])
