"""Processors that look: what they record, what they refuse, and what the process that decodes is kept to."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioStore, UnsupportedAudio
from audiostore.audio import accept, probed
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.errors import ConfigurationError
from audiostore.protocols import Processor
from tests.audio_processing import crafted as made
from tests.audio_processing.signals import ROOT, SAMPLES, TAKE


def store(process: Processor) -> AudioStore:
    return AudioStore(MemoryBackend(), MemoryCatalog(), process=process)


def refused(process: Processor, content: bytes | Path) -> str:
    keeper = store(process)
    with pytest.raises(UnsupportedAudio) as error:
        keeper.put(content, owner="alice", filename="song.mp3")
    assert list(keeper.backend.list()) == []
    assert (keeper.usage("alice").used, keeper.usage("alice").reserved) == (0, 0)
    return error.value.code


def test_the_record_tells_what_a_file_is() -> None:
    file = store(probed()).put(TAKE, owner="alice", metadata={"reader": "Anna"})
    assert file.duration == pytest.approx(4.5285, abs=0.001)
    assert file.metadata == {
        "reader": "Anna",
        "audio": {
            "container": "wav",
            "codec": "pcm_s16le",
            "sample_rate": 22_050,
            "channels": 1,
            "bit_depth": 16,
            "bit_rate": 352_800,
        },
    }
    assert (file.filename, file.size) == ("take.wav", TAKE.stat().st_size)


def test_the_type_is_what_it_is_and_not_what_it_was_called() -> None:
    file = store(accept()).put(made.FLAC, owner="alice", filename="song.mp3", content_type="audio/mpeg")
    assert (file.content_type, file.filename) == ("audio/flac", "song.mp3")


def test_without_a_processor_nothing_is_decoded() -> None:
    keeper = AudioStore(MemoryBackend(), MemoryCatalog())
    assert keeper.put(b"RIFF....WAVE", owner="alice").duration is None


def test_probed_refuses_only_what_is_no_audio() -> None:
    assert refused(probed(), b"hello, world") == "type"
    half = made.MP3[: len(made.MP3) // 2]
    assert store(probed()).put(half, owner="alice").duration is not None


RULES: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "another format": ({"formats": {"wav", "mp3"}}, made.FLAC, "format"),
    "opus where only mp3 is": ({"formats": {"mp3"}}, made.OPUS, "format"),
    "too long": ({"max_duration": timedelta(seconds=1)}, made.FLAC, "too_long"),
    "too long in seconds": ({"max_duration": 1.0}, made.MP3, "too_long"),
    "too short": ({"min_duration": 2.0}, made.FLAC, "too_short"),
    "a low rate": ({"min_sample_rate": 16_000}, made.wav(), "sample_rate"),
    "a high rate": ({"max_sample_rate": 8_000}, made.MP3, "sample_rate"),
    "mono": ({"min_channels": 2}, made.MP3, "channels"),
    "stereo": ({"max_channels": 1}, made.OGG, "channels"),
    "a low bit rate": ({"min_bit_rate": 64_000}, made.MP3, "bit_rate"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_refuses_with_its_code(rule: str) -> None:
    bounds, content, code = RULES[rule]
    assert refused(accept(**bounds), content) == code


def test_bounds_are_inclusive_and_ogg_admits_what_is_in_ogg() -> None:
    exactly = accept({"ogg"}, min_channels=1, max_channels=1, min_sample_rate=48_000, max_sample_rate=48_000)
    assert store(exactly).put(made.OPUS, owner="alice").content_type == "audio/ogg"


def test_headers_alone_can_be_believed() -> None:
    damaged = made.FLAC[:2000] + bytes(8000) + made.FLAC[10_000:]
    assert refused(accept(), damaged) in {"corrupt", "truncated", "unreadable"}
    assert store(accept(decode=False)).put(damaged, owner="alice").duration == pytest.approx(1.066, abs=0.01)


def test_wrong_rules_are_refused_when_they_are_made() -> None:
    for wrong in ({"formats": {"exe"}}, {"formats": "mp3"}, {"formats": set[str]()}, {"max_duration": -1}):
        with pytest.raises((ValueError, TypeError)):
            accept(**wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="at least"):
        accept(min_channels=2, max_channels=1)
    with pytest.raises(ConfigurationError):
        accept(timeout=timedelta(0))


# --- the process that decodes -----------------------------------------------------------------------------------------


def test_a_process_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.flac"
    bomb.write_bytes(made.flac_bomb(hours=4, rate=192_000, channels=8))
    assert refused(accept(timeout=timedelta(seconds=0.6)), bomb) == "timeout"


def test_a_process_that_takes_too_much_memory_is_refused() -> None:
    tag = made.id3(made.apic(bytes(12 << 20)))
    assert refused(accept(memory=4 << 20), tag + made.MP3) == "memory"
    assert store(accept()).put(tag + made.MP3, owner="alice").duration is not None


def test_it_works_on_an_empty_path_and_loads_no_decoder_here(tmp_path: Path) -> None:
    program = """
import sys
from audiostore import AudioStore
from audiostore.audio import convert
store = AudioStore.local("uploads", process=convert("mp3"))
print(store.put(sys.argv[1], owner="alice").filename, "av" in sys.modules, "pydub" in sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, TAKE],
        env={"PATH": "", "PYTHONPATH": str(ROOT / "src")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout.split(), ran.stderr) == (["take.mp3", "False", "False"], "")


@pytest.mark.parametrize("name", ["probe", "accept", "convert", "canonical", "measure", "peaks", "segment"])
def test_a_missing_extra_says_which_command_installs_it(name: str) -> None:
    program = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("av", "pydub"): raise ModuleNotFoundError("No module named " + name, name=name)
import importlib.util
sys.meta_path.insert(0, Missing())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "av" else found(name, package)
import audiostore.audio
made = audiostore.audio.{name}
made(*{{"convert": ["mp3"]}}.get("{name}", []))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ConfigurationError" in ran.stderr, ran.stderr
    assert 'pip install "audiostore[audio]"' in ran.stderr


def test_samples_of_every_kind_are_accepted() -> None:
    everything = accept({"wav", "mp3", "m4a", "flac", "ogg", "opus", "aac", "aiff", "caf", "webm"})
    for path in sorted(SAMPLES.glob("speech.*")):
        assert store(everything).put(io.BytesIO(path.read_bytes()), owner="alice").duration is not None, path.name
