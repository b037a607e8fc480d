"""One of several processes that put until there is no more room; see ``test_two_machines``."""

from __future__ import annotations

import json
import sys

from audiostore import AudioStore, FixedQuota
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.errors import QuotaExceeded


def main() -> None:
    told = json.loads(sys.argv[1])
    backend = SupabaseBackend(told["url"], told["key"])
    quota = FixedQuota(total=told["quota"])
    stored = refused = 0
    with AudioStore(backend, PostgresCatalog.connect(told["dsn"]), quota=quota) as store:
        # The sizes differ, so that there is room for a small one where there is none for a large one.
        for size in [400, 300, 200, 100, 50, 25] * 4:
            try:
                store.put(b"~" * size, owner=told["owner"])
                stored += 1
            except QuotaExceeded:
                refused += 1
    sys.stdout.write(json.dumps({"stored": stored, "refused": refused}))


if __name__ == "__main__":
    main()
