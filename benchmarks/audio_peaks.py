"""The waveform of two hours: ``peaks``, with ffmpeg's command line beside, whose samples Python counts into bins.

    python -m benchmarks.audio_peaks --rounds=3

As WAV and as mp3; as many points as bins of 2048 samples.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from audiostore.audio import transcode
from benchmarks._audio import RATE, compare, options, program, python, speech, told

BIN = 2048

PIPE = """
import subprocess, sys, warnings
warnings.simplefilter("ignore")
import audioop
ffmpeg, path, size = sys.argv[1], sys.argv[2], int(sys.argv[3]) * 2
words = [ffmpeg, "-nostdin", "-v", "error", "-i", path, "-f", "s16le", "-ac", "1", "-"]
data = []
with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
    while block := process.stdout.read(size * 64):
        for at in range(0, len(block), size):
            data.extend(audioop.minmax(block[at : at + size], 2))
assert data
"""
OURS = """
import sys
from audiostore.audio import peaks
assert peaks(sys.argv[1], points=int(sys.argv[2]))["length"]
"""


def main() -> None:
    given = options(__doc__, rounds=3, hours=(2.0, "of audio"))
    hours, rounds = (0.05, 2) if given.quick else (given.hours, given.rounds)
    ffmpeg = program("ffmpeg", given.ffmpeg)
    if ffmpeg is None:
        print("skipped: there is no ffmpeg to compare with")
        return
    told(ffmpeg)
    points = max(1, int(hours * 3600 * RATE) // BIN)
    with tempfile.TemporaryDirectory(prefix="audiostore-bench-") as name:
        wave = speech(Path(name) / "long.wav", hours * 3600)
        mp3 = Path(name) / "long.mp3"
        transcode(wave, mp3, to="mp3", bit_rate=192_000)
        for path in (wave, mp3):
            jobs = {
                "ffmpeg to a pipe, audioop": python(PIPE, ffmpeg, path, BIN),
                f"peaks, {points} points": python(OURS, path, points),
                "peaks, 800 points": python(OURS, path, 800),
                "its start and imports alone": python("import audiostore.audio.waveform"),
            }
            compare(f"{hours:g} h of {path.suffix[1:]}", jobs, rounds)


if __name__ == "__main__":
    main()
