"""Try an installed audiostore, away from its checkout: what it brings along, and that it stores, gives and links."""

from __future__ import annotations

import sys
import tempfile
from importlib import metadata, resources

from audiostore import AudioStore, serve

EXPECTED = {"audiostore", "typing_extensions"}
TOOLS = {"pip", "setuptools", "wheel"}  # what `python -m venv` itself puts there


def main() -> None:
    installed = {each.name.replace("-", "_").lower() for each in metadata.distributions()} - TOOLS
    assert installed == EXPECTED, f"pip install audiostore brought {sorted(installed)}"
    assert (resources.files("audiostore") / "py.typed").is_file(), "the wheel has no py.typed"
    with tempfile.TemporaryDirectory() as folder:
        store = AudioStore.local(folder)
        take = store.put(b"RIFF and so on", owner="alice", filename="take.wav")
        assert store.get(take, owner="alice") == b"RIFF and so on"
        reply = serve(store, store.url(take, owner="alice").rpartition("/")[2], "GET", {})
        assert b"".join(reply.body) == b"RIFF and so on"
        store.delete(take, owner="alice")
        assert store.usage("alice").used == 0
        store.close()
    print(f"wheel ok: audiostore {metadata.version('audiostore')} on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
