"""The main job on Supabase Storage, with no account: a real recording goes up, plays, survives faults, and goes.

Run it with ``python3 scripts/run.py demo supabase``. The Supabase is the one that ``audiostore fake`` serves, in this
process; the backend and its requests are those of production. It ends with 1 if anything is off.
"""

from __future__ import annotations

import sys
import tempfile
import urllib.request
from datetime import timedelta
from pathlib import Path

from audiostore import AudioStore, format_size
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.testing.supabase import FakeSupabase

TAKE = Path(__file__).parent / "shared" / "take.wav"
BUCKET = "takes"
OWNER = "alice"


class Failed(Exception):
    """Something is not as it should be."""


def main() -> int:
    fake = FakeSupabase()
    with tempfile.TemporaryDirectory(prefix="audiostore-demo-") as folder, fake.serve() as server:
        backend = SupabaseBackend(server.url, fake.service_key, BUCKET)
        try:
            with AudioStore(backend, SQLiteCatalog(Path(folder) / "catalog.sqlite3")) as store:
                run(fake, backend, store)
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
    print("All as it should be.")
    return 0


def run(fake: FakeSupabase, backend: SupabaseBackend, store: AudioStore) -> None:
    original = TAKE.read_bytes()
    report = backend.ensure_bucket(max_file_size="50 MB")
    tell("bucket", f"{report.bucket}: {'made' if report.created else 'there'}, private, for audio")
    check(report.ok, "the bucket is as it should be")

    take = store.put(TAKE, owner=OWNER, project="lighthouse", chapter=1, section=2)
    tell("put", f"{take.filename} ({format_size(take.size)}) as {take.key}, on {take.backend}")
    check(fake.keys(BUCKET) == [take.key], "the bucket holds the take and nothing else")
    check(fake.read(BUCKET, take.key) == original, "the bytes there are the recording's own")

    link = store.url(take, expires=timedelta(minutes=10))
    body = fetch(link, {"Range": "bytes=1000-1999"})
    tell("url", f"plays straight from Supabase: {len(body)} bytes of the middle")
    check(body == original[1000:2000], "the range is the recording's own bytes")

    fake.fail_next("POST /object/takes/*", status=503)
    fake.fail_next("POST /object/takes/*", lose_response=True)
    again = store.put(TAKE, owner=OWNER, project="lighthouse", chapter=1, section=3)
    tell("faults", "a 503 and a lost answer, and the second take is there once")
    check(fake.keys(BUCKET) == sorted([take.key, again.key]), "no half object, no double")
    check(store.usage(OWNER).used == 2 * len(original), "every byte is counted once")

    grant = store.begin_upload(owner=OWNER, size=len(original), filename="direct.wav", content_type="audio/wav")
    send(grant.url, original, dict(grant.headers))
    direct = store.finish_upload(grant, owner=OWNER)
    tell("direct", f"{direct.filename} went from the browser to the bucket: {format_size(direct.size)}")
    check(store.get(direct) == original, "what was sent is what is there")

    store.delete_owner(OWNER)
    tell("delete", f"{len(fake.keys(BUCKET))} objects, {store.usage(OWNER).used} bytes used")
    check(fake.keys(BUCKET) == [], "nothing is left in the bucket")
    check(store.audit().ok, "ledger, records and bytes agree")


def fetch(link: str, headers: dict[str, str]) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(link, headers=headers), timeout=10) as answer:  # noqa: S310 - ours
        body: bytes = answer.read()
        return body


def send(link: str, content: bytes, headers: dict[str, str]) -> None:
    request = urllib.request.Request(link, data=content, headers=headers, method="PUT")  # noqa: S310 - ours
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - ours


def tell(step: str, what: str) -> None:
    print(f"{step:9} {what}")


def check(so: bool, what: str) -> None:
    if not so:
        raise Failed(what)


if __name__ == "__main__":
    sys.exit(main())
