"""An export takes no more memory for a large book than for a small one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from audiostore import AudioStore
from audiostore.export import Book, Exports
from tests.export.test_killed import EXPORTER, ROOT

MIB = 1024 * 1024


def test_a_large_book_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    small, large = (_peak(tmp_path / str(size), size) for size in (2, 48))
    assert large - small < 8 * MIB
    assert large < 128 * MIB


def _peak(folder: Path, size: int) -> int:
    """Export two chapters of two equal sections, *size* MiB in all, as WAV and as a ZIP; the peak in bytes."""
    environ = {"UPLOAD_FOLDER": str(folder / "uploads"), "EXPORT_FOLDER": str(folder / "exports")}
    with AudioStore.from_env(environ | {"MAX_FILE_SIZE_MB": "100"}) as store:
        take = _wav(folder / "take.wav", size * MIB // 4)
        for chapter, section in ((1, 1), (1, 2), (2, 1), (2, 2)):
            store.put(take, owner="alice", project="p1", chapter=chapter, section=section)
        book = Book.from_catalog(store, owner="alice", project="p1")
        begun = Exports.from_env(store, environ).begin(book, formats="wav", zip=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    ran = subprocess.run(
        [sys.executable, EXPORTER, begun.id, "alice", "2"],
        env=kept | environ | {"PATH": "", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    state, peak = ran.stdout.split()
    assert state == "finished"
    return int(peak)


def _wav(path: Path, size: int) -> Path:
    rate = 44_100
    data = bytes(range(256)) * (size // 256)
    head = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = b"".join(
        number.to_bytes(width, "little")
        for number, width in ((1, 2), (2, 2), (rate, 4), (4 * rate, 4), (4, 2), (16, 2))
    )
    path.write_bytes(head + form + b"data" + len(data).to_bytes(4, "little") + data)
    return path
