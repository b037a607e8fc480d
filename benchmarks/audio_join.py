"""Joining sections into a chapter: with ffmpeg's command line, with audiostore, and with pydub alone.

    python -m benchmarks.audio_join --rounds=5

Sixty sections of two minutes: WAVs to one mp3 with fades and gaps; WAVs to one WAV; mp3s to one mp3 as they are.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks._audio import compare, options, program, python, speech, told

FADE, GAP, BIT_RATE = 0.010, 0.5, 192_000

OURS = f"""
import sys
from datetime import timedelta
from pathlib import Path
from audiostore.audio import Part, join
folder, suffix, to, how = sys.argv[1:]
fade, gap = timedelta(seconds={FADE}), timedelta(seconds={GAP})
paths = sorted(Path(folder).glob(f"section*.{{suffix}}"))
if how == "encoded":
    parts = [Part(path, fade_in=fade, fade_out=fade, gap_after=gap) for path in paths]
    joined = join(parts, f"{{folder}}/ours.{{to}}", to=to, bit_rate={BIT_RATE})
else:
    joined = join(paths, f"{{folder}}/ours.{{to}}", to=to)
assert joined.how == how, joined.how
"""

IMPORT = "import audiostore.audio.joining"
PYDUB = """
import sys
from pathlib import Path
from pydub import AudioSegment
folder, to, ffmpeg = sys.argv[1:]
AudioSegment.converter = ffmpeg
whole = AudioSegment.empty()
for path in sorted(Path(folder).glob("section*.wav")):
    section = AudioSegment.from_wav(path)
    if to == "mp3":
        section = section.fade_in({fade}).fade_out({fade})
        section += AudioSegment.silent({gap}, frame_rate=section.frame_rate)
    whole += section
whole.export(f"{{folder}}/pydub.{{to}}", format=to, **({{"bitrate": "{bit_rate}"}} if to == "mp3" else {{}}))
""".format(fade=round(FADE * 1000), gap=round(GAP * 1000), bit_rate=BIT_RATE)


def with_filters(ffmpeg: str, paths: list[Path], seconds: float, output: Path) -> list[str]:
    given = [word for path in paths for word in ("-i", str(path))]
    each = f"afade=t=in:d={FADE},afade=t=out:st={seconds - FADE}:d={FADE},apad=pad_dur={GAP}"
    graph = ";".join(f"[{number}:a]{each}[p{number}]" for number in range(len(paths)))
    graph += ";" + "".join(f"[p{number}]" for number in range(len(paths))) + f"concat=n={len(paths)}:v=0:a=1[o]"
    wanted = ["-map", "[o]", "-c:a", "libmp3lame", "-b:a", str(BIT_RATE), str(output)]
    return [ffmpeg, "-nostdin", "-v", "error", "-y", *given, "-filter_complex", graph, *wanted]


def copied(ffmpeg: str, paths: list[Path], output: Path) -> list[str]:
    listed = output.with_suffix(".txt")
    listed.write_text("".join(f"file '{path}'\n" for path in paths))
    words = ["-nostdin", "-v", "error", "-y", "-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy"]
    return [ffmpeg, *words, str(output)]


def main() -> None:
    given = options(__doc__, rounds=5, sections=(60, "how many"), seconds=(120.0, "of each"))
    sections, seconds = (6, 10.0) if given.quick else (given.sections, given.seconds)
    rounds = 2 if given.quick else given.rounds
    ffmpeg = program("ffmpeg", given.ffmpeg)
    if ffmpeg is None:
        print("skipped: there is no ffmpeg to compare with")
        return
    told(ffmpeg)
    with tempfile.TemporaryDirectory(prefix="audiostore-bench-") as name:
        folder = Path(name)
        first = speech(folder / "section000.wav", seconds)
        from audiostore.audio import transcode

        transcode(first, folder / "section000.mp3", to="mp3", bit_rate=BIT_RATE)
        for number in range(1, sections):
            for suffix in ("wav", "mp3"):
                shutil.copy(folder / f"section000.{suffix}", folder / f"section{number:03}.{suffix}")
        waves, mp3s = sorted(folder.glob("section*.wav")), sorted(folder.glob("section*.mp3"))
        what = f"{sections} sections of {seconds:g} s"
        compare(
            f"{what}, wav to mp3 of {BIT_RATE // 1000} kbit/s, fades of {FADE:g} s, gaps of {GAP:g} s",
            {
                "ffmpeg": with_filters(ffmpeg, waves, seconds, folder / "ffmpeg.mp3"),
                "audiostore": python(OURS, folder, "wav", "mp3", "encoded"),
                "pydub alone": python(PYDUB, folder, "mp3", ffmpeg),
            },
            rounds,
        )
        compare(
            f"{what}, wav to wav",
            {
                "ffmpeg": copied(ffmpeg, waves, folder / "ffmpeg.wav"),
                "audiostore": python(OURS, folder, "wav", "wav", "appended"),
                "its start and imports alone": python(IMPORT),
                "pydub alone": python(PYDUB, folder, "wav", ffmpeg),
            },
            rounds,
        )
        compare(
            f"{what}, mp3 to mp3 without encoding",
            {
                "ffmpeg": copied(ffmpeg, mp3s, folder / "ffmpeg-copy.mp3"),
                "audiostore": python(OURS, folder, "mp3", "mp3", "copied"),
                "its start and imports alone": python(IMPORT),
            },
            rounds,
        )


if __name__ == "__main__":
    main()
