"""The settings that the apps come with are settings that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audiostore import settings
from audiostore.settings import Settings
from examples.shared import config
from examples.shared.config import Config

EXAMPLES = Path(__file__).parents[2] / "examples"
LIBRARY = {each.name for each in settings.VARIABLES}
OWN = {each.name for each in config.VARIABLES}


def parts(app: str) -> tuple[dict[str, str], dict[str, str]]:
    """Give the variables of the development part and of the production part, comments stripped."""
    text = (EXAMPLES / app / ".env.example").read_text()
    development, production = text.split("# --- production")
    assert "# --- development" in development
    return _variables(development, r"^([A-Z_]+)=(.*)$"), _variables(production, r"^#([A-Z_]+)=(.*)$")


def _variables(text: str, pattern: str) -> dict[str, str]:
    found = re.findall(pattern, text, re.MULTILINE)
    assert len({name for name, _ in found}) == len(found)
    return {name: value.partition("#")[0].strip() for name, value in found}


@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_each_variable_is_one_that_is_read(app: str) -> None:
    development, production = parts(app)
    assert {*development, *production} <= LIBRARY | OWN
    assert {"SUPABASE_URL", "SUPABASE_SERVICE_KEY", "APP_SECRET"} <= set(production)


@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_the_development_part_starts_as_it_is(app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read = Config.from_env(parts(app)[0])
    assert read.testing
    assert read.settings.storage_backend == "local"


@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_the_production_part_needs_nothing_but_its_secrets(app: str) -> None:
    production = parts(app)[1]
    blanks = {name for name, value in production.items() if not value}
    secret = {each.name for each in (*settings.VARIABLES, *config.VARIABLES) if each.secret}
    assert blanks <= secret
    read = Config.from_env(production | dict.fromkeys(blanks, "a word of forty characters, as secrets are"))
    assert (read.production, read.testing) == (True, False)
    assert read.settings.storage_backend == "supabase"


@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_numbers_are_the_ones_that_count_without_them(app: str) -> None:
    """Who deletes a line of the production part gets what stood there."""
    production = parts(app)[1]
    defaults = {each.name: each.default for each in (*settings.VARIABLES, *config.VARIABLES)}
    numbers = {name: value for name, value in production.items() if value.isdecimal()}
    assert numbers == {name: defaults[name] for name in numbers}


def test_the_apps_own_variables_are_in_the_readme_as_they_are() -> None:
    readme = (EXAMPLES / "shared" / "README.md").read_text()
    for each in config.VARIABLES:
        default = "" if each.default is None else f"`{each.default}`"
        secret = " Secret." if each.secret else ""
        assert f"| `{each.name}` | {default} | {each.meaning}{secret} |" in readme
    assert not OWN & LIBRARY


def test_an_app_without_settings_of_its_own_is_the_librarys() -> None:
    environ = {"APP_ENV": "development", "TESTING_MODE": "on"}
    assert Config.from_env(environ).settings == Settings.from_env({})
