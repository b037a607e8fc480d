"""What each of many processes does in ``test_many_processes_may_open_the_same_new_file_at_once``."""

from __future__ import annotations

import time

from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.models import Override


def open_and_write(path: str, at: float, name: str) -> str:
    """Be the first to open the file, at the same moment as all others."""
    catalog = SQLiteCatalog(path)
    time.sleep(max(0.0, at - time.time()))
    catalog.set_override(name, Override(total=1))
    catalog.close()
    return "done"
