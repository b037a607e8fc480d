"""A whole migration into Supabase, beside curl that uploads the same files, with as many at a time.

    python -m benchmarks.migrate_run --files=500 --size="2 MB" --rounds=3
    python -m benchmarks.migrate_run --files=10000 --size="40 kB" --rounds=1       # for the memory
    python -m benchmarks.migrate_run --quick

Both send to ``audiostore fake``, a process of its own and a new one each time. curl sends each file in one request. The
migration also reserves, reads back and compares, records, and rewrites the projects (in SQLite): with its catalog in
the project over REST, and with one in SQLite; "etag" compares the server's md5 instead of reading back. "curl and back"
is what a copy costs curl that is verified as well: it then downloads all of them, and diff compares. Memory is the
peak above what the process had before it began. CPU is that of the client and of the other end, which share the
machine: divided by the cores, both together are a floor.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from audiostore import AudioStore
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.migrate import Migration, ProjectsTable, SQLiteJournal
from audiostore.migrate.carrying import Checking
from audiostore.quota import Unlimited
from audiostore.sizes import format_size, parse_size
from benchmarks._wire import ROOT, peak, spread
from tests.migrate.apps import SqliteApp

BUCKET = "audio-files"
WAYS = ("curl", "curl and back", "catalog in SQLite, etag", "catalog in SQLite", "catalog over REST")
OF_A_PROJECT = 10


def make(folder: Path, files: int, size: int) -> None:
    """Make the files and the projects that name them; no oddities, since curl knows none."""
    uploads = folder / "uploads"
    uploads.mkdir()
    head = b"RIFF\x24\0\0\0WAVEfmt "
    for number in range(files):
        data = head + number.to_bytes(8, "big")
        (uploads / f"take-{number}.wav").write_bytes(data + bytes(size - len(data)))
    app = SqliteApp(folder / "app.sqlite3")
    rows: list[tuple[str, str, str]] = []
    for first in range(0, files, OF_A_PROJECT):
        sections = [
            {"id": number, "audioPath": f"/uploads/take-{number}.wav"}
            for number in range(first, min(files, first + OF_A_PROJECT))
        ]
        project = {"chapters": [{"id": 1, "sections": sections}]}
        rows.append((f"p{first:06}", f"owner-{first // OF_A_PROJECT % 50}", json.dumps(project)))
    app.add(rows)


def use_curl(facts: Mapping[str, str], folder: Path, workers: int) -> None:
    lines = ["no-progress-meter", "fail", "http1.1", 'header = "Expect:"']
    lines += [f'header = "Authorization: Bearer {facts["service_key"]}"', 'header = "Content-Type: audio/wav"']
    for file in sorted((folder / "uploads").glob("*.wav")):
        address = f"{facts['url']}/storage/v1/object/{BUCKET}/{quote(file.name)}"
        lines += [f'url = "{address}"', 'request = "POST"', f'upload-file = "{file}"', 'output = "/dev/null"']
    config = folder / "curl.conf"
    config.write_text("\n".join(lines))
    parallel = ["--parallel", "--parallel-immediate", "--parallel-max", str(workers)]
    subprocess.run(["curl", *parallel, "-K", str(config)], check=True)


def fetch_back(facts: Mapping[str, str], folder: Path, workers: int) -> None:
    """Download all that ``use_curl`` has sent, and compare it."""
    back = folder / "back"
    back.mkdir()
    names = sorted(each.name for each in (folder / "uploads").glob("*.wav"))
    lines = ["no-progress-meter", "fail", "http1.1", f'header = "Authorization: Bearer {facts["service_key"]}"']
    for name in names:
        lines += [f'url = "{facts["url"]}/storage/v1/object/{BUCKET}/{quote(name)}"', f'output = "{back / name}"']
    config = folder / "back.conf"
    config.write_text("\n".join(lines))
    parallel = ["--parallel", "--parallel-immediate", "--parallel-max", str(workers)]
    subprocess.run(["curl", *parallel, "-K", str(config)], check=True)
    # Faster than any digest of both.
    subprocess.run(["diff", "-rq", folder / "uploads", back], check=True)


def migrate_here(way: str, url: str, key: str, folder: Path, workers: int) -> None:
    """Migrate in this process, and print what it took."""
    catalog = PostgresCatalog.from_supabase(url, key) if way.endswith("REST") else SQLiteCatalog(folder / "catalog.db")
    backend = SupabaseBackend(url, key, BUCKET)
    store = AudioStore(backend, catalog, quota=None if way.endswith("REST") else Unlimited())
    list(backend.list("nothing"))  # connects, and loads what is loaded at first use
    store.usage("nobody")
    references, journal = ProjectsTable.sqlite(folder / "app.sqlite3"), SQLiteJournal(folder / "journal.db")
    check: Checking = "etag" if way.endswith("etag") else "read"
    migration = Migration(folder / "uploads", store, references, journal, workers=workers, check=check)
    before, began, used = peak(), time.perf_counter(), time.process_time()
    report = migration.run().report
    seconds = time.perf_counter() - began
    assert report.ok, report.as_dict()
    used = time.process_time() - used
    print(json.dumps({"seconds": seconds, "ours": used, "bytes": peak() - before, "files": report.migrated}))


def measure(way: str, options: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as made, _fake() as (facts, fake):
        folder = Path(made)
        make(folder, options.files, parse_size(options.size))
        used, theirs = _cpu_of_children(), _cpu_of(fake)
        if way.startswith("curl"):
            began = time.perf_counter()
            use_curl(facts, folder, options.workers)
            if way.endswith("back"):
                fetch_back(facts, folder, options.workers)
            seconds = time.perf_counter() - began
            return {"seconds": seconds, "ours": _cpu_of_children() - used, "theirs": _cpu_of(fake) - theirs}
        command = [sys.executable, "-m", "benchmarks.migrate_run", "--workers", str(options.workers)]
        command += ["--one", way, facts["url"], facts["service_key"], str(folder)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        if ran.returncode:
            raise SystemExit(ran.stderr)
        told: dict[str, float] = json.loads(ran.stdout)
        assert told["files"] == options.files
        return told | {"theirs": _cpu_of(fake) - theirs}


@contextmanager
def _fake() -> Generator[tuple[Mapping[str, str], int]]:
    command = [sys.executable, "-m", "audiostore", "fake", "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        try:
            yield json.loads(served.stdout.readline()), served.pid
        finally:
            served.terminate()


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_of(process: int) -> float:
    """Give the seconds that a running process has used of any core."""
    told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--size", default="2 MB")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="50 files, one round")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        way, url, key, folder = options.one
        migrate_here(way, url, key, Path(folder), options.workers)
        return
    if options.quick:
        options.files, options.rounds = 50, 1
    told = f"{options.files:,} files of {format_size(parse_size(options.size))}, {options.workers} at a time"
    print(f"{told}, {options.rounds} rounds, interleaved; least / median / most\n")
    print(
        "| way | seconds | files a second | x curl in the same round | x curl and back | CPU a file, ms, ours + theirs"
        " | memory above idle | load |\n|---|---|---|---|---|---|---|---|"
    )
    rounds = [
        {way: {"load": os.getloadavg()[0], **measure(way, options)} for way in WAYS} for _ in range(options.rounds)
    ]
    for way in WAYS:
        here = [each[way] for each in rounds]
        seconds = [each["seconds"] for each in here]
        times = [spread([each[way]["seconds"] / each[other]["seconds"] for each in rounds]) for other in WAYS[:2]]
        cpu = " + ".join(f"{min(each[part] for each in here) / options.files * 1e3:.1f}" for part in ("ours", "theirs"))
        memory = format_size(int(max(each["bytes"] for each in here))) if "bytes" in here[0] else ""
        load = f"{min(each['load'] for each in here):.1f} to {max(each['load'] for each in here):.1f}"
        rate = options.files / min(seconds)
        cells = [way, spread(seconds), f"{rate:.0f}", *times, cpu, memory, load]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
