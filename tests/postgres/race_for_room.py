"""One of several processes that put until there is no more room; see ``test_two_machines``."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from audiostore import AudioStore, FixedQuota
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.errors import QuotaExceeded

THREADS = 4


def main() -> None:
    told = json.loads(sys.argv[1])
    backend = SupabaseBackend(told["url"], told["key"])
    quota = FixedQuota(total=told["quota"])
    with AudioStore(backend, PostgresCatalog.connect(told["dsn"]), quota=quota) as store:

        def fill(_: int) -> int:
            # The sizes differ, so that there is room for a small one where there is none for a large one.
            return sum(_fits(store, told["owner"], size) for size in [400, 300, 200, 100, 50, 25])

        store.usage(told["owner"])  # all begin when all have a connection
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        with ThreadPoolExecutor(THREADS) as threads:
            stored = sum(threads.map(fill, range(THREADS)))
    sys.stdout.write(json.dumps({"stored": stored, "refused": THREADS * 6 - stored}))


def _fits(store: AudioStore, owner: str, size: int) -> bool:
    try:
        store.put(b"~" * size, owner=owner)
    except QuotaExceeded:
        return False
    return True


if __name__ == "__main__":
    main()
