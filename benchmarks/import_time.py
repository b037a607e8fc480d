"""What importing costs, in milliseconds beyond ``python -c pass``, and what it loads.

    python benchmarks/import_time.py [--repeat 21]

Medians of fresh processes that take turns; bytecode is compiled beforehand, as an installer does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

STATEMENTS = {
    "pass": "pass",
    "import audiostore": "import audiostore",
    "from audiostore import AudioStore": "from audiostore import AudioStore",
    "AudioStore.local(...)": "import sys, audiostore; audiostore.AudioStore.local(sys.argv[1])",
}
FOREIGN = """
import sys
before = set(sys.modules)
import audiostore
from audiostore import AudioStore
loaded = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(", ".join(sorted(loaded)))
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeat", type=int, default=21)
    repeat = arguments.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"

        def run(code: str) -> float:
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code, f"{folder}/store"], check=True, env=environment)
            return 1000 * (time.perf_counter() - begun)

        for code in STATEMENTS.values():
            run(code)
        rounds = [{name: run(code) for name, code in STATEMENTS.items()} for _ in range(repeat)]
        foreign = subprocess.run([sys.executable, "-c", FOREIGN], check=True, capture_output=True, text=True).stdout
    print("| statement | beyond `pass` | spread |\n|---|---|---|")
    for name in list(STATEMENTS)[1:]:
        beyond = [each[name] - each["pass"] for each in rounds]
        print(f"| `{name}` | **{statistics.median(beyond):.0f} ms** | {min(beyond):.0f} - {max(beyond):.0f} ms |")
    print(f"\nNot of the standard library: {foreign.strip()}")


if __name__ == "__main__":
    main()
