"""What holds the project together, kept by machines: layers, imports, sizes of files, and who reads the environment."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import audiostore

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "audiostore"
SOURCES = sorted(PACKAGE.rglob("*.py"))
ALLOWED = {
    "typing_extensions": "",
    "av": "audio/",
    "click": "cli/",
    "pytest": "testing/",
    "httpx": "transport.py",
    "httpcore": "transport.py",
    "psycopg": "catalogs/postgres/",
}
"""Third-party modules, and the folder of the package that may import them (``""``: anywhere)."""


@dataclass(frozen=True)
class Imported:
    file: Path
    module: str
    names: tuple[str, ...] = ()


def imports(file: Path) -> Iterator[Imported]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield Imported(file, each.name)
        elif isinstance(node, ast.ImportFrom):
            yield Imported(file, node.module or "", tuple(each.name for each in node.names))


# --- size and names ---------------------------------------------------------------------------------------------------


def test_no_file_is_longer_than_400_lines() -> None:
    files = [file for folder in ("src", "tests", "examples", "scripts", "benchmarks") for file in _code(folder)]
    lengths = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert len(lengths) > len(SOURCES)
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_module_is_a_category() -> None:
    refused = {"utils", "util", "helpers", "helper", "common", "core", "misc", "shared", "manager", "handlers"}
    named = {part.removesuffix(".py") for file in SOURCES for part in file.relative_to(PACKAGE).parts}
    assert named & refused == set()


def _code(folder: str) -> Iterator[Path]:
    yield from (file for kind in ("*.py", "*.js", "*.sql") for file in (ROOT / folder).rglob(kind))


def test_a_browser_test_is_there_for_ci_to_insist_on() -> None:
    marked = [file for file in (ROOT / "tests").rglob("test_*.py") if "pytest.mark.browser" in file.read_text()]
    assert set(marked) - {Path(__file__)}


# --- imports ----------------------------------------------------------------------------------------------------------


def test_third_party_modules_are_imported_only_where_their_extra_is() -> None:
    ours = {*sys.stdlib_module_names, "audiostore"}
    strange = [
        (str(each.file.relative_to(PACKAGE)), top)
        for file in SOURCES
        for each in imports(file)
        if (top := each.module.partition(".")[0]) not in ours
        and not (top in ALLOWED and file.relative_to(PACKAGE).as_posix().startswith(ALLOWED[top]))
    ]
    assert strange == []


def test_imports_are_absolute_so_that_a_search_finds_them() -> None:
    relative = [
        (str(file.relative_to(PACKAGE)), node.lineno)
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_only_the_settings_read_the_environment() -> None:
    readers = {file.relative_to(PACKAGE).as_posix() for file in SOURCES if _reads_environment(file)}
    assert readers == {"settings.py"}


def _reads_environment(file: Path) -> bool:
    words = {"environ", "environb", "getenv", "getenvb"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in words)
        or (isinstance(node, ast.ImportFrom) and any(each.name in words for each in node.names))
        or (isinstance(node, ast.Constant) and node.value in words)  # getattr(os, "environ")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    )


@pytest.mark.parametrize("statement", ["import audiostore", "from audiostore import *"])
def test_importing_audiostore_is_light(statement: str) -> None:
    # The names of the root are loaded when they are first used; the star uses them all.
    before, after = _modules_after("import sys"), _modules_after(f"import sys; {statement}")
    loaded = {name.partition(".")[0] for name in after - before}
    assert "audiostore" in loaded
    assert loaded - {*sys.stdlib_module_names, "audiostore", "typing_extensions"} == set()
    heavy = {"sqlite3", "asyncio", "http.client", "urllib.request", "ssl", "concurrent.futures", "multiprocessing"}
    assert after & heavy == set()


def test_importing_audiostore_reads_no_file_and_no_environment(tmp_path: Path) -> None:
    watched = """
import os, sys, typing_extensions
seen = []
def hook(event, args):
    if event == "open" and not str(args[0]).endswith((".py", ".pyc", ".so")): seen.append(args[0])
    if event.startswith(("socket.", "subprocess.", "sqlite3.", "os.mkdir", "os.rename")): seen.append(event)
class Watched(type(os.environ)):
    def __getitem__(self, name):
        frame = sys._getframe(1)
        while frame.f_globals["__name__"] in {"os", "collections.abc"}: frame = frame.f_back
        if frame.f_globals["__name__"].startswith("audiostore"): seen.append(name)
        return super().__getitem__(name)
os.environ.__class__ = Watched
sys.addaudithook(hook)
from audiostore import *
print(seen)
"""
    assert _python(watched, cwd=tmp_path).strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def _modules_after(statement: str) -> set[str]:
    return set(json.loads(_python(f"{statement}; import json; print(json.dumps(sorted(sys.modules)))")))


def _python(code: str, cwd: Path | None = None) -> str:
    # Without what coverage adds to a child process, which would be seen as our own imports.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=kept, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


# --- the public names -------------------------------------------------------------------------------------------------


def test_all_is_sorted_and_importable() -> None:
    assert list(audiostore.__all__) == sorted(audiostore.__all__)
    assert [name for name in audiostore.__all__ if not hasattr(audiostore, name)] == []


def test_no_module_bears_a_public_name() -> None:
    modules = {file.stem for file in PACKAGE.glob("*.py")} | {
        file.parent.name for file in PACKAGE.glob("*/__init__.py")
    }
    assert modules & set(audiostore.__all__) == set()


def test_public_classes_and_functions_have_a_docstring() -> None:
    named = {name: getattr(audiostore, name) for name in audiostore.__all__}
    assert [name for name, value in named.items() if callable(value) and not (value.__doc__ or "").strip()] == []


# --- the layer contracts bite -----------------------------------------------------------------------------------------

BREACHES = {
    "a part that reaches up to the facade": ("layers", "quota.py", "import audiostore.store"),
    "a module that no layer names": ("layers", "stray.py", ""),
    "a word that knows a seam": ("layers", "errors.py", "import audiostore.protocols"),
    "policies that know one another": ("layers", "paths.py", "import audiostore.signing"),
    "a backend that knows another": ("backends", "backends/memory.py", "import audiostore.backends.local"),
    "a catalog that knows another": ("catalogs", "catalogs/memory.py", "import audiostore.catalogs.sqlite"),
    "a family that knows another": ("layers", "catalogs/memory.py", "import audiostore.backends.memory"),
    "sound that knows where bytes live": ("layers", "audio/info.py", "import audiostore.backends.local"),
    "a facade that decodes": ("facade", "store/parts.py", "import audiostore.audio"),
    "a decoder in the core": ("dependencies", "media.py", "import av"),
    "a facade that picks its backend": ("facade", "store/parts.py", "import audiostore.backends.local"),
    "a facade that picks its catalog": ("facade", "store/reading.py", "import audiostore.catalogs.sqlite"),
    "siblings in a circle": ("siblings", "store/parts.py", "import audiostore.store.upkeep"),
    "an HTTP client in the core": ("dependencies", "backends/local.py", "import httpx"),
    "click outside the command line": ("dependencies", "store/parts.py", "import click"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_layer_contract_bites(breach: str, tmp_path: Path) -> None:
    contract, module, line = BREACHES[breach]
    shutil.copytree(PACKAGE, tmp_path / "audiostore", ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path / "audiostore" / module
    target.write_text((target.read_text(encoding="utf-8") if target.exists() else "") + f"\n{line}\n", encoding="utf-8")
    code, told = lint_imports(tmp_path, contract)
    assert code == 1, told
    assert "1 broken" in told, told
    assert Path(module).stem in told, told


def test_the_layer_contracts_are_kept(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "audiostore", ignore=shutil.ignore_patterns("__pycache__"))
    code, told = lint_imports(tmp_path)
    assert code == 0, told
    assert "0 broken" in told


def lint_imports(folder: Path, *contracts: str) -> tuple[int, str]:
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("lint-imports"),
            "--no-logo",
            "--no-cache",
            "--config",
            ROOT / "pyproject.toml",
            *chosen,
        ],
        cwd=folder,  # searched before anything else, so the copy is what is linted
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr
