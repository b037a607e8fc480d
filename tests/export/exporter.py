"""A process that runs one export of EXPORT_FOLDER, and stands still at a share of it, so that it can be killed there.

It prints a line with each chapter that it takes up, and ``still`` when it stands. Its PATH is empty.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

from audiostore import AudioStore
from audiostore.export import Exports


def main(id: str, owner: str, until: float) -> None:
    """Run the export up to the share *until*; one beyond 1 lets it finish."""
    assert os.environ["PATH"] == ""
    exports = Exports.from_env(AudioStore.from_env())

    def progress(share: float) -> None:
        if share >= until:
            sys.stdout.write("still\n")
            sys.stdout.flush()
            while True:
                time.sleep(60)

    done = exports.run(id, owner=owner, progress=progress)
    sys.stdout.write(f"{done.state} {_peak()}\n")


def _peak() -> int:
    """Give the most memory that this process had, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count what the parent had when it forked
        return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
