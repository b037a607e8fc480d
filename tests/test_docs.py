"""Docs that can't rot: every command, setting and public name is in them, and every block runs or is data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import audiostore
from audiostore import settings
from scripts import tables

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
RUN = {"python", "console"}
DATA = {"text", "html", "json", "nginx", "toml", "ini", "css", "javascript"}
INCLUDED = re.compile(r'--8<-- "(examples/[\w/]+\.py)"')
SET_UP = re.compile(r'(pip install "?audiostore(\[\w+(,\w+)*\])?"?|python3 scripts/run\.py \w+)( +#.*)?')


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Give language and text of each fenced block."""
    text = page.read_text(encoding="utf-8")
    fenced = r"^(?P<fence>```+|~~~+)(?P<language>.*?)\n(?P<text>.*?)^(?P=fence)$"
    for found in re.finditer(fenced, text, re.MULTILINE | re.DOTALL):
        yield found["language"].strip(), found["text"]


def words(*pages: Path) -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def test_every_public_name_is_in_the_reference() -> None:
    shown = set(re.findall(r"^::: audiostore\.([\w.]+)", words(*(DOCS / "reference").glob("*.md")), re.MULTILINE))
    places = {name: f"{getattr(audiostore, name).__module__}.{name}".removeprefix("audiostore.") for name in _names()}
    absent = [name for name, place in places.items() if not shown & {name, *_ancestors(place)}]
    assert absent == []


def test_every_method_of_the_store_is_in_the_reference() -> None:
    shown = re.findall(r"^::: audiostore\.AudioStore\.(\w+)", words(DOCS / "reference" / "store.md"), re.MULTILINE)
    assert sorted(shown) == [name for name in dir(audiostore.AudioStore) if not name.startswith("_")]


def test_every_method_of_the_asynchronous_store_is_in_its_reference() -> None:
    page = words(DOCS / "reference" / "async.md")
    methods = [name for name in dir(audiostore.AsyncAudioStore) if not name.startswith("_")]
    assert len(methods) > 30
    assert [name for name in methods if f"`{name}`" not in page and f"AsyncAudioStore.{name}\n" not in page] == []


def test_every_public_name_is_spoken_of_in_the_prose() -> None:
    prose = words(*(page for page in PAGES if page.parent.name != "reference"))
    assert [name for name in _names() if not re.search(rf"\b{name}\b", prose)] == []


def test_every_method_of_the_store_is_spoken_of_in_the_prose() -> None:
    prose = words(*(page for page in PAGES if page.parent.name != "reference"))
    methods = [name for name in dir(audiostore.AudioStore) if not name.startswith("_")]
    assert len(methods) > 20
    assert [name for name in methods if not re.search(rf"\b{name}\b", prose)] == []


def test_every_setting_is_in_the_docs() -> None:
    page = words(DOCS / "settings.md")
    assert len(settings.VARIABLES) >= 14
    assert [each.name for each in settings.VARIABLES if f"`{each.name}`" not in page] == []


def test_every_command_is_in_the_reference_and_in_a_how_to() -> None:
    reference, how_to = words(DOCS / "reference" / "command-line.md"), words(DOCS / "how-to" / "command-line.md")
    paths = [context.command_path for context in tables.commands()]
    assert len(paths) > 10
    assert [path for path in paths if f"`{path}`" not in reference] == []
    assert [path for path in paths if path not in how_to] == []


def test_every_command_and_option_has_help() -> None:
    silent = [
        (context.command_path, parameter.name)
        for context in tables.commands()
        for parameter in context.command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]
    assert silent == []
    assert [context.command_path for context in tables.commands() if not context.command.help] == []


@pytest.mark.parametrize("page", tables.GENERATED)
def test_generated_tables_say_what_the_code_says(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == tables.rendered(page), "python3 scripts/run.py tables"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_runs_or_is_data(page: Path) -> None:
    for language, text in blocks(page):
        if language == "sh":
            strange = [line for line in text.splitlines() if line.strip() and not SET_UP.fullmatch(line.strip())]
            assert strange == [], "sh is for set-up alone, which a page can't run; use console"
        elif language == "py":
            included = INCLUDED.fullmatch(text.strip())
            assert included, "py is for a whole file of the examples, which has tests of its own; use python"
            assert (ROOT / included[1]).is_file()
        else:
            assert language in RUN | DATA, f"a block of {language or 'no language'}"


def test_no_example_is_skipped() -> None:
    pages = [*PAGES, *(ROOT / "src").rglob("*.py")]
    marks = ("+SKIP", "<!-- skip", "clear-namespace")
    assert [page.name for page in pages if any(mark in page.read_text(encoding="utf-8") for mark in marks)] == []


def test_every_page_is_in_the_navigation_and_every_link_leads_somewhere() -> None:
    nav = re.findall(r"[\w/-]+\.md", words(ROOT / "mkdocs.yml"))
    assert sorted(nav) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_has_two_set_up_commands_and_ci_runs_both() -> None:
    commands = [text.strip() for language, text in blocks(ROOT / "README.md") if language == "sh"]
    assert commands == ["python3 scripts/run.py demo", "python3 scripts/run.py tests"]
    ci = words(ROOT / ".ci" / "run")
    assert [command for command in commands if command not in ci] == []


def test_decisions_are_dated_and_say_what_was_not_chosen() -> None:
    text = (DOCS / "decisions.md").read_text(encoding="utf-8")
    paragraphs = [each for each in text.split("\n\n") if each.startswith("**")]
    assert len(paragraphs) > 10
    for paragraph in paragraphs:
        assert re.match(r"\*\*20\d\d-\d\d-\d\d\. ", paragraph), paragraph[:60]
        assert "*Not chosen:*" in paragraph, paragraph[:60]


def _names() -> list[str]:
    return list(audiostore.__all__)


def _ancestors(place: str) -> Iterator[str]:
    while place:
        yield place
        place = place.rpartition(".")[0]
