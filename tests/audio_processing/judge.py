"""A small process that puts every file of a folder into a store and tells what became of each, a line of JSON each.

On its own, so that the memory of the processes it starts is not mistaken for that of a test runner. It has no PATH. The
last line tells the most memory that one of them took: it is known when they and what they were forked from are over.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path

from audiostore import AudioStore
from audiostore.audio import accept, processes
from audiostore.errors import AudioStoreError


def main(folder: Path, root: Path) -> None:
    """Put all, one after the other."""
    store = AudioStore.local(root, process=accept(timeout=timedelta(seconds=5)))
    for path in sorted(folder.iterdir()):
        began = time.monotonic()
        try:
            file = store.put(path, owner="mallory", filename="song.mp3")
            outcome = {"accepted": True, "duration": file.duration, "content_type": file.content_type}
        except AudioStoreError as error:
            outcome = {"accepted": False, "error": type(error).__name__, "code": getattr(error, "code", str(error))}
        outcome |= {
            "name": path.stem,
            "seconds": time.monotonic() - began,
            "left": len(list((root / ".audiostore" / "staging").rglob("*"))),
        }
        sys.stdout.write(json.dumps(outcome) + "\n")
    processes.stop()
    sys.stdout.write(json.dumps(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024) + "\n")
    assert "av" not in sys.modules, "no decoder in this process"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
