"""The check of the public API: it sees what breaks, says nothing of the rest, and knows when there was no release."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytest.importorskip("griffe", reason="the check runs where the docs are built")

from scripts import api

SOURCE = '''
"""A library."""


class Store:
    """Keeps."""

    def put(self, source: bytes, *, owner: str) -> str:
        """Put."""
        return owner


def internal(a: int) -> int:
    """Not in the reference."""
    return a
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one release, v0.1.0."""
    package, pages = tmp_path / "src" / "audiostore", tmp_path / "docs" / "reference"
    package.mkdir(parents=True)
    pages.mkdir(parents=True)
    (package / "__init__.py").write_text(SOURCE)
    (package / "_version.py").write_text('__version__ = "0.1.0"\n')
    (pages / "store.md").write_text("::: audiostore.Store\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True)


def change(project: Path, before: str, after: str) -> None:
    file = project / "src" / "audiostore" / "__init__.py"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))


def test_before_the_first_release_there_is_nothing_to_compare_with(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert api.main(project) == 0
    assert "no release yet" in capsys.readouterr().out


def test_what_breaks_nobody_passes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(project, "tag", "v0.1.0")
    change(project, "owner: str)", "owner: str, place: str | None = None)")
    change(project, "def internal(a: int)", "def internal(b: int)")
    assert api.main(project) == 0
    assert "since v0.1.0: nothing breaks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("owner: str)", "owner: str, place: str)", "audiostore.Store: Store.put(place)"),
        ("def put(", "def keep(", "audiostore.Store: Store.put: Public object was removed"),
        ("class Store", "class Keeper", "audiostore.Store is gone"),
    ],
)
def test_what_breaks_someone_fails_within_a_minor_version(
    project: Path, before: str, after: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    git(project, "tag", "v0.1.0")
    change(project, before, after)
    assert api.main(project) == 1
    assert told in capsys.readouterr().out
    (project / "src" / "audiostore" / "_version.py").write_text('__version__ = "0.2.0.dev0"\n')
    assert api.main(project) == 0
    assert told in capsys.readouterr().out, "told all the same"
