"""The pages are tests: every Python and console block of the README, the docs and the docstrings runs.

Each page starts with no names and in an empty folder that holds one recording, ``take.wav``; its blocks follow one
another. In a console block a line ``$ …`` is a command; what stands below it is what it must print, ``...`` for
anything. One that ends with ``&`` runs until the end of the page; what it prints first is waited for.
"""

from __future__ import annotations

import doctest
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.integration import pytest as integration
from sybil.parsers.doctest import DocTestParser
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = Path(__file__).parent
TAKE = ROOT / "examples" / "shared" / "take.wav"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def enter(page: dict[str, Any]) -> None:
    folder = tempfile.mkdtemp(prefix="audiostore-page-")
    shutil.copy(TAKE, folder)
    page["_page"] = {"before": Path.cwd(), "folder": folder, "exports": "", "running": []}
    os.chdir(folder)


def enter_with_store(page: dict[str, Any]) -> None:
    """The examples in the facade's chapters would be long if each made a store and put something into it first."""
    from audiostore import AudioStore

    enter(page)
    page["store"] = AudioStore.local("uploads")
    page["take"] = page["store"].put("take.wav", owner="alice", project="p1", chapter=1, section=2)


def enter_with_postgres(page: dict[str, Any]) -> None:
    """The page on the tables in Postgres begins with the database of an app that has tracked storage itself."""
    from tests.postgres.databases import shared_databases

    enter(page)
    databases = shared_databases()
    database = databases.make(databases.lived_in())
    page["database_url"] = database.dsn
    page["_page"]["exports"] = f"export DATABASE_URL='{database.dsn}'\n"


def enter_with_project(page: dict[str, Any]) -> None:
    """The page on setting up begins with the database of a new project, and puts the tables there."""
    from tests.postgres.databases import shared_databases

    enter(page)
    databases = shared_databases()
    page["_page"]["exports"] = f"export DATABASE_URL='{databases.make(databases.supabase()).dsn}'\n"


def enter_with_plans(page: dict[str, Any]) -> None:
    """The page on quotas has a database whose tables are there."""
    from tests.postgres.databases import shared_databases

    enter(page)
    databases = shared_databases()
    page["database_url"] = databases.make(databases.applied(databases.supabase())).dsn
    # A folder of their own: in that of a store on SQLite, the database would take over its catalog.
    page["_page"]["exports"] = f"export DATABASE_URL='{page['database_url']}' UPLOAD_FOLDER=takes\n"


def leave(page: dict[str, Any]) -> None:
    if store := page.get("store"):
        close = getattr(store, "close", None)
        if callable(close):
            close()
    for process in page["_page"]["running"]:
        process.terminate()
        process.communicate(timeout=30)
    os.chdir(page["_page"]["before"])
    shutil.rmtree(page["_page"]["folder"])


def run_console(example: Example) -> str | None:
    """Run the commands of one block and compare what they print; ``export`` lasts until the end of the page."""
    state = example.namespace["_page"]
    for command, expected in _commands(example.parsed):
        if command.startswith("export "):
            state["exports"] += command + "\n"
            continue
        if command.endswith("&"):
            if complaint := _start(state, command.removesuffix("&").strip(), expected):
                return complaint
            continue
        ran = subprocess.run(
            ["bash", "-c", state["exports"] + command],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # in the order in which a terminal shows both
            text=True,
            check=False,
        )
        printed = ran.stdout
        if ran.returncode or not _agree(expected, printed):
            return (
                f"$ {command}\nexit code {ran.returncode}, printed:\n{printed}\nexpected:\n{expected or '(anything)'}"
            )
    return None


def _start(state: dict[str, Any], command: str, expected: str) -> str | None:
    process = subprocess.Popen(
        ["bash", "-c", f"{state['exports']}exec {command}"],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    state["running"].append(process)
    assert process.stdout is not None
    printed = "".join(process.stdout.readline() for _ in expected.splitlines())
    return None if _agree(expected, printed) else f"$ {command} &\nprinted:\n{printed}\nexpected:\n{expected}"


def _commands(block: str) -> Iterator[tuple[str, str]]:
    command: str | None = None
    expected = ""
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            if command is not None:
                yield command, expected
            command, expected = line[2:].strip(), ""
        elif command is not None and command.endswith("\\"):
            command += "\n" + line.strip()
        else:
            expected += line
    if command is None:
        raise ValueError("a console block without a command")
    yield command, expected


def _agree(expected: str, printed: str) -> bool:
    return not expected.strip() or doctest.OutputChecker().check_output(expected, printed, FLAGS)


def _environment() -> dict[str, str]:
    # The commands of this very environment, and no settings but the page's own.
    kept = {name: value for name, value in os.environ.items() if name in {"HOME", "LANG", "PYTHONPATH", "TMPDIR"}}
    tracing = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return kept | tracing | {"PATH": folders, "PYTHONWARNINGS": "error"}


POSTGRES, PROJECT, PLANS = "docs/how-to/postgres.md", "docs/how-to/supabase.md", "docs/how-to/quotas.md"
_pages = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=FLAGS), CodeBlockParser("console", run_console)],
    patterns=["*.md"],
    excludes=[POSTGRES, PROJECT, PLANS],
    setup=enter,
    teardown=leave,
)
_postgres = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=FLAGS), CodeBlockParser("console", run_console)],
    patterns=[POSTGRES],
    setup=enter_with_postgres,
    teardown=leave,
)
_project = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=FLAGS), CodeBlockParser("console", run_console)],
    patterns=[PROJECT],
    setup=enter_with_project,
    teardown=leave,
)
_plans = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=FLAGS), CodeBlockParser("console", run_console)],
    patterns=[PLANS],
    setup=enter_with_plans,
    teardown=leave,
)
CHAPTERS = "store/[a-z]*.py"
_docstrings = Sybil(
    parsers=[DocTestParser(FLAGS)], path="src", patterns=["*.py"], excludes=[CHAPTERS], setup=enter, teardown=leave
)
_chapters = Sybil(
    parsers=[DocTestParser(FLAGS)], path="src", patterns=[CHAPTERS], setup=enter_with_store, teardown=leave
)
_collect = integration.pytest_integration(_pages, _postgres, _project, _plans, _docstrings, _chapters)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    within = file_path.relative_to(ROOT).parts if file_path.is_relative_to(ROOT) else ()
    if within[:1] in {("src",), ("docs",)} or within == ("README.md",):
        return _collect(file_path, parent)
    return None
