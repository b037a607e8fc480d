"""Nothing blocks the event loop, whatever many clients do at once."""

from __future__ import annotations

import asyncio
import threading
from itertools import count
from pathlib import Path

from tests.aio.load import DEEDS, WATCH, load, watched_store


def test_no_call_under_load_touches_storage_in_the_event_loops_thread(tmp_path: Path) -> None:
    turns = count()
    store = watched_store(tmp_path / "audio")
    done = asyncio.run(load(store, tmp_path, clients=12, until=lambda: next(turns) > 400))
    assert dict(WATCH.blocked) == {}
    assert set(done) == {deed.__name__ for deed in DEEDS}


def test_the_watch_would_see_it(tmp_path: Path) -> None:
    store = watched_store(tmp_path / "audio")

    async def block() -> None:
        WATCH.blocked.clear()
        WATCH.thread = threading.get_ident()
        try:
            store.put(b"bytes", owner="alice")
            (tmp_path / "file").write_bytes(b"bytes")
        finally:
            WATCH.thread = None

    asyncio.run(block())
    store.close()
    seen = {what.partition(" ")[0] for what in WATCH.blocked}
    assert {"LocalBackend.write", "SQLiteCatalog.commit", "open", "os.mkdir", "sqlite3.connect"} <= seen
