"""What users get when they install: version, wheel, extras, command."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import audiostore
from scripts import installed

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the wheel and the sdist of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    ran = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--sdist", "--outdir", folder, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> dict[str, str]:
    """Give the wheel's text files by name."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_version_stands_in_one_place(built: Path) -> None:
    assert metadata.version("audiostore") == audiostore.__version__
    assert "version" not in PROJECT["project"]
    assert {file.name for file in built.iterdir()} == {
        f"audiostore-{audiostore.__version__}-py3-none-any.whl",
        f"audiostore-{audiostore.__version__}.tar.gz",
    }
    said = [
        file
        for folder in ("src", "docs", "scripts")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".md", ".toml"} and f'"{audiostore.__version__}"' in file.read_text(encoding="utf-8")
    ]
    assert said == [ROOT / "src" / "audiostore" / "_version.py"]


def test_the_newest_heading_of_the_changelog_is_this_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    in_the_making = ".dev" in audiostore.__version__
    assert headings[0] == ("Unreleased" if in_the_making else audiostore.__version__)


def test_everything_in_the_package_is_in_the_wheel(wheel: dict[str, str]) -> None:
    source = ROOT / "src"
    files = {file.relative_to(source) for file in source.rglob("*") if file.is_file()}
    made = re.compile(r"\..*|__pycache__|.*\.egg-info")  # by tools, beside the source
    wanted = {file.as_posix() for file in files if not any(made.fullmatch(part) for part in file.parts)}
    assert {"audiostore/py.typed"} <= wanted
    assert any(name.endswith(".sql") for name in wanted)
    assert {name for name in wheel if ".dist-info/" not in name} == wanted


def test_the_licence_is_in_the_wheel(wheel: dict[str, str]) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
    assert "License-Expression: MIT" in _metadata(wheel)


def test_the_sdist_can_be_tested_and_read(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "conftest.py", "tests/test_packaging.py", "docs/index.md"} <= names
    assert {"scripts/run.py", "examples/quickstart.py", "examples/shared/take.wav", "mkdocs.yml"} <= names


def test_the_core_needs_typing_extensions_alone(wheel: dict[str, str]) -> None:
    needed = re.findall(r"^Requires-Dist: (.+)$", _metadata(wheel), re.MULTILINE)
    assert [each.partition(">")[0] for each in needed if "extra ==" not in each] == ["typing-extensions"]


def test_the_extras_are_the_promised_ones(wheel: dict[str, str]) -> None:
    extras = re.findall(r"^Provides-Extra: (.+)$", _metadata(wheel), re.MULTILINE)
    assert set(extras) == {"supabase", "postgres", "audio", "cli", "testing", "all"}
    needed = re.findall(
        r"^Requires-Dist: (.+?); (?:\((.+)\) and |(.+) and )?extra == '(.+)'$", _metadata(wheel), re.MULTILINE
    )
    by_extra = {extra: {each[:3] for each in needed if each[3] == extra} for extra in extras}
    assert all(by_extra[extra] for extra in extras)
    assert by_extra["all"] == set().union(*(by_extra[extra] for extra in extras if extra != "all"))


def test_the_classifiers_name_the_pythons_that_are_supported(wheel: dict[str, str]) -> None:
    assert "Requires-Python: >=3.11" in _metadata(wheel)
    assert "Classifier: Programming Language :: Python :: 3.11" in _metadata(wheel)
    assert "Classifier: Typing :: Typed" in _metadata(wheel)


def test_the_readme_is_the_page_on_the_index(wheel: dict[str, str]) -> None:
    page = _metadata(wheel).partition("\n\n")[2]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
    assert "Description-Content-Type: text/markdown" in _metadata(wheel)
    assert page.strip() == links.sub(lambda link: link[0] if "://" in link[2] else link[1], readme).strip()
    assert len(links.findall(readme)) > 10
    assert [link for _, link in links.findall(page) if not link.startswith("https://")] == []


def test_the_oldest_pythons_and_the_extras_are_those_of_the_scripts(wheel: dict[str, str]) -> None:
    assert f"Requires-Python: >={'.'.join(map(str, installed.OLDEST))}" in _metadata(wheel)
    assert set(installed.EXTRAS) == set(re.findall(r"^Provides-Extra: (.+)$", _metadata(wheel), re.MULTILINE))


def test_every_dependency_is_on_the_page_of_licences() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    listed = {each.lower().replace("_", "-") for each in re.findall(r"[\w-]+", page)}
    wanted, known = ["audiostore"], set[str]()
    while wanted:
        name = wanted.pop()
        if name not in known:
            known.add(name)
            wanted += _needs(name)
    assert {"supabase", "psycopg", "av", "pytest"} <= known
    assert known - listed == set()


def _needs(name: str) -> list[str]:
    """Give what the installed *name* needs here; of our own extras all."""
    environment = {"extra": ""}
    needs = [Requirement(each) for each in metadata.requires(name) or []]
    if name == "audiostore":
        return [
            each.name
            for each in needs
            if each.name != name and (not each.marker or "python_version" not in str(each.marker))
        ]
    return [canonicalize_name(each.name) for each in needs if not each.marker or each.marker.evaluate(environment)]


def test_the_page_of_licences_names_what_is_under_the_gpl_in_the_wheel_of_the_decoder() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    names = {file.name for file in metadata.files("av") or [] if ".so" in file.name}
    bundled = {
        name
        for name in ("libx264", "libx265", "libmp3lame", "libgnutls")
        if any(each.startswith(name) for each in names)
    }
    if not bundled:
        pytest.skip("this PyAV was built on this machine")
    assert [name for name in bundled if name.removeprefix("lib") not in page.lower()] == []


def test_the_console_script_is_there() -> None:
    ran = subprocess.run(
        [Path(sys.executable).with_name("audiostore"), "--version"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert audiostore.__version__ in ran.stdout


def test_a_missing_extra_names_the_command_that_installs_it() -> None:
    # A None in sys.modules makes `import click` fail as if it were not installed.
    code = "import sys; sys.modules['click'] = None; from audiostore.cli import main; sys.exit(main())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 2, ran.stderr
    assert 'pip install "audiostore[cli]"' in ran.stderr
    assert "Traceback" not in ran.stderr


def _metadata(wheel: dict[str, str]) -> str:
    return next(text for name, text in wheel.items() if name.endswith(".dist-info/METADATA"))
