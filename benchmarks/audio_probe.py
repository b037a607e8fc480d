"""Telling what a thousand small files are: ``probe`` in one process, with ffprobe beside, a process for each file.

    python -m benchmarks.audio_probe --rounds=1 --files=1000

The files are those of the tests, in every format. ``probed()``, which starts a process for each as well, has a tenth of
them. A round takes some three minutes; every file counts as one more, so that one is enough.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks._audio import compare, options, program, python, told
from benchmarks._wire import ROOT

FFPROBE = """
import subprocess, sys
from pathlib import Path
for path in sorted(Path(sys.argv[1]).iterdir())[: int(sys.argv[3])]:
    words = [sys.argv[2], "-v", "error", "-of", "json", "-show_format", "-show_streams", str(path)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
"""
PROBE = """
import sys
from pathlib import Path
from audiostore.audio import probe
for path in sorted(Path(sys.argv[1]).iterdir()):
    assert probe(path).duration
"""
PROBED = """
import sys
from pathlib import Path
from audiostore.audio.isolation import Bounds, run
for path in sorted(Path(sys.argv[1]).iterdir())[: int(sys.argv[2])]:
    assert run("probe", [path], {"exact": False}, bounds=Bounds())["info"]["duration"]
"""


def main() -> None:
    given = options(__doc__, rounds=1, files=(1000, "how many"))
    files, rounds = (30, 2) if given.quick else (given.files, given.rounds)
    ffprobe = program("ffprobe", given.ffmpeg)
    if ffprobe is None:
        print("skipped: there is no ffprobe to compare with")
        return
    told(ffprobe)
    samples = sorted(path for path in (ROOT / "tests" / "audio").iterdir() if path.suffix != ".md")
    with tempfile.TemporaryDirectory(prefix="audiostore-bench-") as name:
        for number in range(files):
            sample = samples[number % len(samples)]
            shutil.copy(sample, Path(name) / f"{number:05}{sample.suffix}")
        few = max(1, files // 10)
        compare(
            f"{files} files of a second, {len(samples)} formats",
            {"ffprobe": python(FFPROBE, name, ffprobe, files), "probe": python(PROBE, name)},
            rounds,
        )
        compare(
            f"{few} of them, with a process for each",
            {"ffprobe": python(FFPROBE, name, ffprobe, few), "probed()": python(PROBED, name, few)},
            rounds,
        )


if __name__ == "__main__":
    main()
