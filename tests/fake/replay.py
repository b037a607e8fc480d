"""Run the client that made the recordings against a served fake: ``python -m tests.fake.replay`` prints the share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from audiostore.testing.supabase import Actor, FakeSupabase, SqlError
from tests.fake.normalising import EXCEPTIONS, USERS, differences

WIRE = Path(__file__).parent / "wire"
CHAPTERS = {
    "t01": "01_buckets",
    "t02": "02_upload",
    "t03": "03_keys",
    "t04": "04_download",
    "t05": "05_list",
    "t06": "06_move_copy_remove",
    "t07": "07_signed",
    "t08": "08_tus",
    "t12": "12_postgrest",
    "t14": "14_tus_extra",
}
NOT_REPLAYED = {
    "10_s3": "the S3 protocol is not part of the fake",
}


@dataclass(frozen=True)
class Pair:
    chapter: str
    recorded: dict[str, Any]
    replayed: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.recorded["name"])

    @property
    def differences(self) -> list[str]:
        return differences(self.recorded, self.replayed)


def replay(fake: FakeSupabase, chapters: list[str], folder: Path, *, tables: bool = True) -> list[Pair]:
    """Run *chapters* in their order, in *folder*, and pair what came back with what was recorded. The fake has the
    recorded *tables* staged, unless they are in a database of its own.
    """
    alice, bob = USERS
    keys = {
        "anon_key": fake.anon_key,
        "service_key": fake.service_key,
        "alice": fake.user_token(alice, expires_in=timedelta(hours=6)),
        "bob": fake.user_token(bob, expires_in=timedelta(hours=6)),
        "alice_id": alice,
        "bob_id": bob,
        "jwt_secret": fake.jwt_secret,
    }
    (folder / "keys.json").write_text(json.dumps(keys))
    (folder / "out").mkdir(exist_ok=True)
    fake.create_bucket("bench")  # the recorded server had one more
    if tables:
        create_what_rest_sql_does(fake)
    _lose_what_is_deleted(fake, folder)
    # Rows are told apart by milliseconds, and no two uploads to the recorded server fell into one.
    fake.fail_next("POST /object/*", latency=timedelta(milliseconds=2), times=sys.maxsize)
    with fake.serve() as server:
        environment = {**os.environ, "LAB": str(folder), "PORT": server.url.rpartition(":")[2]}
        for chapter in chapters:
            driver = WIRE / "driver" / f"{chapter}.py"
            ran = subprocess.run(
                [sys.executable, "-W", "ignore", str(driver)],
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stderr
    return [pair for chapter in chapters for pair in _pairs(CHAPTERS[chapter], folder)]


def _pairs(chapter: str, folder: Path) -> Iterator[Pair]:
    recorded = json.loads((WIRE / f"{chapter}.json").read_text())
    replayed = json.loads((folder / "out" / f"{chapter}.json").read_text())
    assert len(recorded) == len(replayed)
    for one, other in zip(recorded, replayed, strict=True):
        yield Pair(chapter, one, other)


def create_what_rest_sql_does(fake: FakeSupabase) -> None:
    """Stage the table and the functions that ``rest.sql`` creates on the real server."""
    fake.table(
        "audio_jobs",
        {
            "id": "uuid primary key default gen_random_uuid()",
            "user_id": "uuid not null default auth.uid()",
            "file_key": "text not null unique",
            "status": "text not null default 'queued'",
            "duration": "double precision",
            "meta": "jsonb default '{}'",
            "created_at": "timestamptz default now()",
        },
        checks={"audio_jobs_status_check": lambda row: row["status"] in {"queued", "done", "failed"}},
        rls="user_id",
    )

    def add_them(a: int, b: int) -> int:
        return a + b

    def boom() -> None:
        raise SqlError("nope", hint="a hint", details="some detail")

    fake.function("add_them", add_them)
    fake.function("boom", boom)


def _lose_what_is_deleted(fake: FakeSupabase, folder: Path) -> None:
    """One exchange shows an object whose bytes are gone: the client deletes them on the server's disk. Ours has none,
    so a file stands for them, which is looked for whenever the object is read."""
    key = f"{USERS[0]}/gone.mp3"
    bytes_of_it = folder / "LAB" / "data" / "stub" / "x" / "media" / key / "v"
    bytes_of_it.parent.mkdir(parents=True)
    bytes_of_it.touch()

    def own_folder(actor: Actor, bucket: str, name: str) -> bool:
        if name == key and not bytes_of_it.exists():
            fake.lose_bytes(bucket, name)
        return bucket == "media" and actor.role == "authenticated" and name.startswith(f"{actor.sub}/")

    fake.allow("select", own_folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pairs = replay(FakeSupabase(), list(CHAPTERS), Path(folder))
    different = [pair for pair in pairs if pair.differences]
    for pair in different:
        reason = EXCEPTIONS.get(pair.name, "NOT EXPECTED")
        sys.stdout.write(f"{pair.chapter} {pair.name}: {reason}\n    " + "\n    ".join(pair.differences) + "\n")
    for chapter, reason in NOT_REPLAYED.items():
        sys.stdout.write(f"{chapter}: not replayed, {reason}\n")
    sys.stdout.write(f"{len(pairs) - len(different)} of {len(pairs)} exchanges agree\n")


if __name__ == "__main__":
    main()
