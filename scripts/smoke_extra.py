"""Try one extra of an installed audiostore: what it is for works, and of the others each says how to get it.

``python -I scripts/smoke_extra.py EXTRA`` in an environment that holds ``audiostore[EXTRA]`` and nothing else.
"""

from __future__ import annotations

import math
import shutil
import struct
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path

from audiostore import AudioStore
from audiostore.errors import ConfigurationError

# What says that its extra is missing: a function, a class, a command.
SUPABASE = {"STORAGE_BACKEND": "supabase", "SUPABASE_URL": "https://abc.supabase.co", "SUPABASE_SERVICE_KEY": "key"}


def main(extra: str) -> None:
    """Do what *extra* is for, then ask for everything else."""
    with tempfile.TemporaryDirectory() as folder:
        take = Path(folder) / "take.wav"
        _record(take)
        WORKS[extra](take)
        _command(["--version"])
        for name, ask in MISSING.items():
            if name not in BRINGS[extra]:
                _check_told(name, ask, take)
    print(f"extra ok: audiostore[{extra}] on Python {sys.version.split()[0]}")


def _check_told(extra: str, ask: Callable[[Path], object], take: Path) -> None:
    try:
        ask(take)
        told = "nothing"
    except (ConfigurationError, ModuleNotFoundError) as error:
        told = str(error)
    assert f'pip install "audiostore[{extra}]"' in told, f"{extra} is missing, and it said: {told}"


# --- what each is for -------------------------------------------------------------------------------------------------


def _supabase(take: Path) -> None:
    from audiostore.backends.supabase import SupabaseBackend
    from audiostore.keys import Key
    from audiostore.testing.supabase import FakeSupabase

    fake = FakeSupabase()
    fake.create_bucket("audio-files")
    with fake.serve() as server:
        backend = SupabaseBackend(server.url, fake.service_key, "audio-files")
        store = AudioStore(backend, _local(take).catalog)
        file = store.put(take, owner="alice")
        assert store.get(file, owner="alice") == take.read_bytes()
        assert fake.keys("audio-files") == [str(Key(file.key))]
        store.close()


def _postgres(take: Path) -> None:
    from audiostore.catalogs.postgres import PostgresCatalog
    from audiostore.errors import Unavailable

    try:
        PostgresCatalog.connect("postgresql://nobody@127.0.0.1:1/none").usage("alice", None)
    except Unavailable:
        return
    raise AssertionError("there is no such database")


def _audio(take: Path) -> None:
    from audiostore.audio import convert, probe, segment

    assert abs(probe(take).duration - 1) < 0.01
    with AudioStore.local(take.parent / "processed", process=convert("mp3")) as store:
        file = store.put(take, owner="alice")
        assert file.content_type == "audio/mpeg"
        assert abs(len(segment(store, file, owner="alice")) - 1000) < 100


def _cli(take: Path) -> None:
    ran = _command(["put", str(take), "--owner", "alice"], UPLOAD_FOLDER=str(take.parent / "typed"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


def _testing(take: Path) -> None:
    suite = take.with_name("test_it.py")
    suite.write_text(
        "import pytest\n"
        "from audiostore.backends.memory import MemoryBackend\n"
        "from audiostore.testing import BackendSuite\n"
        "class TestMemory(BackendSuite):\n"
        "    @pytest.fixture\n"
        "    def backend(self):\n"
        "        return MemoryBackend()\n"
        "def test_the_fixture(fake_supabase):\n"
        "    assert fake_supabase.requests == []\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", suite.name], cwd=take.parent, capture_output=True, text=True, check=False
    )
    assert " passed" in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == 0, ran.stdout


def _all(take: Path) -> None:
    for name, works in WORKS.items():
        if name != "all":
            works(take)


# --- what is missing --------------------------------------------------------------------------------------------------


def _ask_cli(take: Path) -> None:
    ran = _command(["put", str(take), "--owner", "alice"])
    assert ran.returncode == 2, ran
    assert "Traceback" not in ran.stderr
    raise ModuleNotFoundError(ran.stderr)


def _ask_testing(take: Path) -> None:
    import audiostore.testing

    audiostore.testing.BackendSuite  # noqa: B018 - reading it is what asks


def _ask_audio(take: Path) -> None:
    from audiostore.audio import probe

    probe(take)


def _ask_postgres(take: Path) -> None:
    from audiostore.catalogs.postgres import PostgresCatalog

    PostgresCatalog.connect("postgresql://nobody@127.0.0.1:1/none")


def _ask_supabase(take: Path) -> None:
    AudioStore.from_env({**SUPABASE, "UPLOAD_FOLDER": str(take.parent / "none")})


def _record(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        samples = (int(9000 * math.sin(number / 3)) for number in range(8000))
        sound.writeframes(b"".join(struct.pack("<h", each) for each in samples))


def _local(take: Path) -> AudioStore:
    return AudioStore.local(take.parent / "local")


def _command(words: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    script = shutil.which("audiostore", path=str(Path(sys.executable).parent))
    assert script, "no console script"
    return subprocess.run([script, *words], capture_output=True, text=True, check=False, env=environ)


WORKS: dict[str, Callable[[Path], object]] = {
    "supabase": _supabase,
    "postgres": _postgres,
    "audio": _audio,
    "cli": _cli,
    "testing": _testing,
    "all": _all,
}
MISSING = {
    "supabase": _ask_supabase,
    "postgres": _ask_postgres,
    "audio": _ask_audio,
    "cli": _ask_cli,
    "testing": _ask_testing,
}
BRINGS = {name: {name} for name in MISSING} | {"all": set(MISSING)}

if __name__ == "__main__":
    main(sys.argv[1])
