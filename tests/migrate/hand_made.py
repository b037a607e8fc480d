"""The migration that an app wrote for itself, as it ran: ``seed/`` holds it word for word, and here it is started."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

HERE: Final = Path(__file__).parent / "seed"


@contextmanager
def hand_made(client: Any) -> Generator[Any]:
    """Have its ``AudioMigrator``, over a ``supabase.Client``."""
    services = {name: ModuleType(name) for name in ("services", "services.supabase_service")}
    services["services"].__path__ = []
    there = SimpleNamespace(client=client, is_configured=lambda: True)
    services["services.supabase_service"].get_supabase_service = lambda: there  # type: ignore[attr-defined]
    before, path, backend = dict(sys.modules), list(sys.path), os.environ.get("STORAGE_BACKEND")
    sys.modules |= services
    os.environ["STORAGE_BACKEND"] = "supabase"
    try:
        _run("supabase_storage_service", "services.supabase_storage_service")
        yield _run("migrate_audio_to_supabase", "hand_made_migration").AudioMigrator
    finally:
        for name in set(sys.modules) - set(before):
            if name.startswith(("services", "hand_made")):
                del sys.modules[name]
        sys.path[:] = path
        if backend is None:
            del os.environ["STORAGE_BACKEND"]
        else:
            os.environ["STORAGE_BACKEND"] = backend


def _run(file: str, name: str) -> Any:
    module = sys.modules[name] = ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    module.__file__ = str(HERE / "utils" / f"{file}.py")
    source = (HERE / f"{file}.py.txt").read_text(encoding="utf-8")
    exec(compile(source, module.__file__, "exec"), vars(module))
    logging.getLogger(name).setLevel(logging.CRITICAL)
    return module
