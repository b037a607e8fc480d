"""What an export needs, and what it does not: no program, no extra for words, nothing loaded that is not used."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from audiostore import AudioStore
from audiostore.export import Book, export
from audiostore.migrate.originals import Originals
from tests.export.shelf import SPEECH, pcm
from tests.migrate.apps import SqliteApp

ROOT = Path(__file__).parent.parent.parent

WITHOUT_THE_EXTRA = """
import sys
for name in ("av", "pydub", "audioop", "pyaudioop"):
    sys.modules[name] = None
from audiostore import AudioStore, ConfigurationError
from audiostore.export import Book, BookChapter, BookSection, export
store = AudioStore.local("uploads")
take = store.put(b"RIFF....WAVE", owner="alice")
section = BookSection(name="Rain", text="It rained.", path=str(take.key))
book = Book(owner="alice", title="Tides", chapters=(BookChapter(name="Ebb", sections=(section,)),))
print([file.name for file in export(store, book, to="words", audio=False, zip=True).files])
try:
    export(store, book, to="sound")
except ConfigurationError as error:
    print(error)
"""


def _python(code: str, folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env={"PATH": "", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_without_the_extra_words_are_exported_and_audio_says_what_is_missing(tmp_path: Path) -> None:
    words, sound = _python(WITHOUT_THE_EXTRA, tmp_path).splitlines()
    assert words == "['metadata.json', 'text/01 - Ebb.txt', 'Tides.zip']"
    assert 'pip install "audiostore[audio]"' in sound


def test_to_import_it_loads_no_decoder_and_no_database(tmp_path: Path) -> None:
    loaded = _python("import audiostore.export, sys; print(*sys.modules)", tmp_path).split()
    assert not {"av", "pydub", "sqlite3", "httpx", "supabase", "asyncio"} & {*loaded}


def test_uploads_of_an_app_that_knows_no_store_are_exported_for_whoever_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    shutil.copy(SPEECH, folder / "take 1.wav")
    app = SqliteApp(tmp_path / "app.sqlite3")
    project = {"chapters": [{"name": "Ebb", "sections": [{"name": "Rain", "audioPath": "/uploads/take%201.wav"}]}]}
    app.add([("1", "alice", json.dumps(project)), ("2", "bob", "{}")])
    originals = Originals(folder, app.table)
    with AudioStore.local(tmp_path / "store") as store:
        mine = export(
            store, Book.from_project(project, owner="alice"), to=tmp_path / "a", formats="wav", originals=originals
        )
        assert pcm(mine.file("01 - Ebb.wav").path) == pcm(SPEECH)
        theirs = export(store, Book.from_project(project, owner="bob"), to=tmp_path / "b", originals=originals)
        assert [each.reason for each in theirs.missing] == ["missing"]
