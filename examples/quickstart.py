"""The main job, end to end on disk + SQLite: a real recording is stored, counted, linked, fetched and deleted.

Run it with ``python3 scripts/run.py demo``. It prints what happened, and ends with 1 if anything is off.
"""

from __future__ import annotations

import http.client
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from audiostore import AudioStore, FixedQuota, Usage, format_size, serve

TAKE = Path(__file__).parent / "shared" / "take.wav"
OWNER = "alice"


class Failed(Exception):
    """Something is not as it should be."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="audiostore-demo-") as folder:
        try:
            run(Path(folder))
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
    print("All as it should be.")
    return 0


def run(folder: Path) -> None:
    original = TAKE.read_bytes()
    quota = FixedQuota(total="5 MB", per_file="1 MB")
    with AudioStore.local(folder / "uploads", quota=quota) as store, http_server(store) as port:
        tell("quota", show(store.usage(OWNER)))

        take = store.put(TAKE, owner=OWNER, project="lighthouse", chapter=1, section=2)
        tell("put", f"{take.filename} ({take.content_type}, {format_size(take.size)}) as {take.key}")
        check(take.size == len(original), "the record has the file's size")

        listed = list(store.list(owner=OWNER, project="lighthouse"))
        tell("list", ", ".join(f"{each.filename} in chapter {each.chapter}, section {each.section}" for each in listed))
        check([each.id for each in listed] == [take.id], "the listing has the take and nothing else")
        check(not list(store.list(owner="bob")), "nobody else sees it")

        usage = store.usage(OWNER)
        tell("usage", show(usage))
        check((usage.used, usage.files, usage.reserved) == (len(original), 1, 0), "every byte is counted once")

        link = store.url(take)
        tell("url", f"{link[:60]}... until {link.expires_at:%H:%M} UTC")
        status, headers, body = fetch(port, link, {"Range": "bytes=1000-1999"})
        tell("fetch", f"HTTP {status}, Content-Range: {headers['Content-Range']}, {len(body)} bytes")
        check(
            status == HTTPStatus.PARTIAL_CONTENT and body == original[1000:2000],
            "the range is the recording's own bytes",
        )
        status, _, _ = fetch(port, link[:-4] + "AAAA", {})
        tell("forged", f"HTTP {status} for the same link with its end changed")
        check(status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}, "a changed link is refused")

        copy = store.download_to(take, folder / "copy.wav")
        tell("download", f"{copy.name}, {format_size(copy.stat().st_size)}")
        check(copy.read_bytes() == original, "the copy is the recording, byte for byte")

        store.delete(take, owner=OWNER)
        usage = store.usage(OWNER)
        tell("delete", show(usage))
        check((usage.used, usage.files) == (0, 0), "the room is given back")
        status, _, _ = fetch(port, link, {})
        tell("fetch", f"HTTP {status} for the link of the deleted take")
        check(status == HTTPStatus.NOT_FOUND, "deleting revokes the link")

        report = store.audit()
        tell("audit", f"{len(report.drift)} findings")
        check(report.ok, "ledger, records and bytes agree")


@contextmanager
def http_server(store: AudioStore) -> Generator[int]:
    """Serve the store's links as a web app would, in a few lines of the standard library; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = serve(store, self.path.rpartition("/")[2], "GET", dict(self.headers.items()))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.writelines(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # the demo tells its own story
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def fetch(port: int, link: str, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", link, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def show(usage: Usage) -> str:
    return f"{format_size(usage.used)} of {format_size(usage.quota)} used ({usage.percent} %), {usage.files} files"


def tell(step: str, what: str) -> None:
    print(f"{step:9} {what}")


def check(so: bool, what: str) -> None:
    if not so:
        raise Failed(what)


if __name__ == "__main__":
    sys.exit(main())
