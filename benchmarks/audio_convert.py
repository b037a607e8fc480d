"""Looking into a recording and converting it: with ffmpeg's command line, with audiostore, and with pydub alone.

    python -m benchmarks.audio_convert --rounds=5

Ten minutes of speech: WAV to mp3, and mp3 to WAV. Probing is a hundred times in one process for Python, and a process
each for ffprobe, because that is how each is used. pydub finds ffmpeg and ffprobe, as an app with both would have it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks._audio import compare, options, program, python, speech, told

BIT_RATE = 192_000
TIMES = 100

PROBE = f"""
import sys
from audiostore.audio import probe
for _ in range({TIMES}):
    assert probe(sys.argv[1]).duration > 1
"""
PYDUB_PROBE = f"""
import os, sys
os.environ["PATH"] = sys.argv[2] + os.pathsep + os.environ["PATH"]
from pydub.utils import mediainfo_json
for _ in range({TIMES}):
    assert mediainfo_json(sys.argv[1])
"""
CONVERT = f"""
import sys
from audiostore.audio import transcode
to = sys.argv[2][-3:]
transcode(sys.argv[1], sys.argv[2], to=to, **({{"bit_rate": {BIT_RATE}}} if to == "mp3" else {{}}))
"""
PYDUB_CONVERT = f"""
import os, sys
os.environ["PATH"] = sys.argv[3] + os.pathsep + os.environ["PATH"]
from pydub import AudioSegment
to = sys.argv[2][-3:]
wanted = {{"bitrate": "{BIT_RATE}"}} if to == "mp3" else {{}}
AudioSegment.from_file(sys.argv[1]).export(sys.argv[2], format=to, **wanted)
"""


def main() -> None:
    given = options(__doc__, rounds=5, seconds=(600.0, "of speech"))
    seconds, rounds = (10.0, 2) if given.quick else (given.seconds, given.rounds)
    ffmpeg, ffprobe = program("ffmpeg", given.ffmpeg), program("ffprobe", given.ffmpeg)
    if ffmpeg is None or ffprobe is None:
        print("skipped: there is no ffmpeg to compare with")
        return
    told(ffmpeg)
    with tempfile.TemporaryDirectory(prefix="audiostore-bench-") as name:
        folder = Path(name)
        programs = folder / "bin"  # under the names that pydub looks for
        programs.mkdir()
        (programs / "ffmpeg").symlink_to(ffmpeg)
        (programs / "ffprobe").symlink_to(ffprobe)
        wav = speech(folder / "speech.wav", seconds)
        mp3 = folder / "speech.mp3"
        encode = [ffmpeg, "-nostdin", "-v", "error", "-y", "-i", str(wav), "-b:a", str(BIT_RATE), str(mp3)]
        decode = [ffmpeg, "-nostdin", "-v", "error", "-y", "-i", str(mp3), str(folder / "ffmpeg.wav")]
        compare(
            f"{seconds:g} s, wav to mp3 of {BIT_RATE // 1000} kbit/s",
            {
                "ffmpeg": encode,
                "audiostore": python(CONVERT, wav, folder / "ours.mp3"),
                "pydub alone": python(PYDUB_CONVERT, wav, folder / "pydub.mp3", programs),
            },
            rounds,
        )
        compare(
            f"{seconds:g} s, mp3 to wav",
            {
                "ffmpeg": decode,
                "audiostore": python(CONVERT, mp3, folder / "ours.wav"),
                "pydub alone": python(PYDUB_CONVERT, mp3, folder / "pydub.wav", programs),
            },
            rounds,
        )
        loop = f'i=0; while [ $i -lt {TIMES} ]; do "$1" -v error -show_streams "$2" || exit 1; i=$((i+1)); done'
        compare(
            f"probing an mp3 {TIMES} times",
            {
                "ffprobe": ["/bin/sh", "-c", loop, "sh", ffprobe, str(mp3)],
                "audiostore": python(PROBE, mp3),
                "pydub alone": python(PYDUB_PROBE, mp3, programs),
            },
            rounds,
        )


if __name__ == "__main__":
    main()
