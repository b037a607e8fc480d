"""Run every benchmark, and write what they print, with machine and versions, into ``docs/benchmarks.md``.

    python3 scripts/run.py bench --table [--quick] [names]

``--quick`` only shows that they run: small sizes, one round, printed and not written. With names, the sections of those
are written anew and the others stay, if they are of the same machine and versions. Each benchmark is a process of its
own. Run it on a machine that does nothing else; the load is told with each section.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"

# In the order of the page: module, and the words that make it quick. One that is not named comes last, with --quick.
QUICK: dict[str, list[str]] = {
    "import_time": ["--repeat=3"],
    "local_put": ["--sizes=1", "--repeat=1"],
    "local_get": ["--size=4 MB", "--rounds=1"],
    "supabase_transfer": ["--size=10 MB", "--rounds=1"],
    "supabase_chunks": ["--rounds=1"],
    "small_files": ["--files=20", "--rounds=1"],
    "batch": ["--quick"],
    "sign_links": ["--links=50", "--rounds=1"],
    "serve_ranges": ["--size=4 MB", "--rounds=1"],
    "catalog_throughput": ["1"],
    "catalog_growth": ["2000"],
    "postgres_catalog": ["2000", "1"],
    "audio_convert": ["--quick"],
    "audio_join": ["--quick"],
}
HEAD = """# Benchmarks

What things cost here, as ratios to a floor (`cp`, `curl`, bare HMACs, ffmpeg's command) and to peers, in one run and
with their spread. Numbers of another machine are worth little; make your own: `python3 scripts/run.py bench --table`.
Three numbers in a cell are least, median and most. A benchmark without a section here was not run for this page.
[What bounds each](concepts/speed.md) is a page of its own.

"""


def main() -> int:
    """Run, print, and write what ran well unless it was quick."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("names", nargs="*")
    asked = parser.parse_intermixed_args()
    failed: list[str] = []
    for name in asked.names or benchmarks():
        section = _section(name, quick=asked.quick)
        if section is None:
            failed.append(name)
            print(f"{name} failed", flush=True)
            continue
        print(section, flush=True)
        if not asked.quick:
            _keep(name, section)
    if failed:
        print(f"failed, and left as it was in {PAGE.relative_to(ROOT)}: {', '.join(failed)}")
    return len(failed)


def _keep(name: str, section: str) -> None:
    """Put *section* into the page, in its place; those of another machine, or other versions, go."""
    machine, page = _machine(), PAGE.read_text(encoding="utf-8")
    kept = dict(re.findall(r"(?ms)^<!-- (\w+) -->\n(.*?)(?=^<!-- |\Z)", page)) if machine in page else {}
    kept[name] = section
    sections = [f"<!-- {each} -->\n{kept[each].strip()}\n" for each in benchmarks() if each in kept]
    PAGE.write_text("\n".join([HEAD.strip(), "", machine, *sections]), encoding="utf-8")


def benchmarks() -> list[str]:
    """Give the modules, in the order of the page."""
    there = {file.stem for file in (ROOT / "benchmarks").glob("[a-z]*.py")}
    return [name for name in QUICK if name in there] + sorted(there - set(QUICK))


def _section(name: str, *, quick: bool) -> str | None:
    """Run one; give its heading, what it is about, and its table."""
    words = QUICK.get(name, ["--quick"]) if quick else []
    began, load = time.monotonic(), os.getloadavg()[0]
    ran = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if ran.returncode:
        return None
    title, _, about = _doc(name).replace("``", "`").partition("\n")
    about = re.sub(r"(?m)^ {4}python.*\n", "", about).strip()
    when = f"{datetime.now(UTC):%Y-%m-%d}, {time.monotonic() - began:.0f} s, load {load:.1f} before it"
    return f"## {title.rstrip('.:')}\n\n{about}\n\n{ran.stdout.strip()}\n\n({when})\n"


def _doc(name: str) -> str:
    source = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    found = re.match(r'"""(.*?)"""', source, re.DOTALL)
    assert found, f"benchmarks/{name}.py does not say what it measures"
    return found[1]


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ("audiostore", "httpx", "storage3", "starlette", "av", "pydub", "psycopg")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    return (
        f"Run on: {_processor()}, {os.cpu_count()} CPUs, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}. {versions}.\n"
    )


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", told.read_text(encoding="utf-8")) if told.exists() else []
    return names[0].strip() if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
