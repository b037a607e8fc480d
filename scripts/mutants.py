"""Break the library in small ways, one at a time, and see whether its tests notice.

    python3 scripts/run.py mutants [--sample 60] [--seed 1] [--minutes 20] [keys quota signing ...]

Each mutant is one change of one place: a comparison turned round, ``and`` for ``or``, a number one higher, a condition
negated, a ``return`` of nothing, a call left out. It lives in a copy of the checkout. For each area only the tests that
are about it run, and stop at the first failure. What survives is printed as a diff: it wants a better test, or is no
change at all (CONTRIBUTING.md tells which are known to be none).
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src") / "audiostore"


@dataclass(frozen=True)
class Area:
    """Files, and the tests that are about them."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


CATALOG_TESTS = (
    "tests/catalogs/test_suites.py",
    "tests/catalogs/test_ledger_machine.py",
    "tests/catalogs/test_queues.py",
    "tests/catalogs/test_sqlite_file.py",
    "tests/catalogs/test_sqlite_plans.py",
    "tests/catalogs/test_wrong_catalogs.py",
)
AREAS = {
    "keys": Area(
        ("keys.py", "paths.py"), ("tests/words/test_keys.py", "tests/test_paths.py", "tests/test_path_suite.py")
    ),
    "quota": Area(("quota.py",), ("tests/test_quota.py", "tests/store/test_accounts.py")),
    "signing": Area(
        ("signing.py",), ("tests/test_signing.py", "tests/words/test_link.py", "tests/test_serving_uploads.py")
    ),
    "serving": Area(
        ("serving/conditions.py", "serving/downloads.py", "serving/uploads.py"),
        (
            "tests/test_serving.py",
            "tests/test_ranges.py",
            "tests/test_serving_uploads.py",
            "tests/test_serving_faults.py",
        ),
    ),
    "memory": Area(
        ("catalogs/rules.py", "catalogs/uploading.py", "catalogs/decided.py", "catalogs/memory.py"), CATALOG_TESTS
    ),
    "sqlite": Area(
        ("catalogs/sqlite/__init__.py", "catalogs/sqlite/tables.py", "catalogs/sqlite/queues.py"),
        (*CATALOG_TESTS, "tests/catalogs/test_succession.py"),
    ),
}
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
EXCHANGED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Add,
}


@dataclass(frozen=True)
class Mutant:
    """One file of the package, as it would be with one change."""

    file: Path
    line: int
    before: str
    after: str

    def diff(self) -> str:
        lines = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), lineterm="", n=1)
        return "\n".join(["    " + line for line in list(lines)[2:]])


def main() -> int:
    """Sample, break, run, tell; the exit code is the number of survivors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("areas", nargs="*", help=f"of {', '.join(AREAS)} (default: all)")
    parser.add_argument("--sample", type=int, default=60, help="mutants in all, evenly from each area")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20)
    asked = parser.parse_intermixed_args()
    chance, end = random.Random(asked.seed), time.monotonic() + 60 * asked.minutes
    names = asked.areas or list(AREAS)
    killed, survivors, left = 0, list[tuple[str, Mutant]](), 0
    with tempfile.TemporaryDirectory(prefix="audiostore-mutants-") as folder:
        checkout = Path(folder) / "checkout"
        shutil.copytree(
            ROOT, checkout, ignore=shutil.ignore_patterns(".git", ".venv", "site", "dist", "__pycache__", ".*_cache")
        )
        for name in names:
            all_of_them = [mutant for file in AREAS[name].files for mutant in mutants(checkout, PACKAGE / file)]
            chosen = chance.sample(all_of_them, min(len(all_of_them), max(1, asked.sample // len(names))))
            if not _passes(checkout, AREAS[name]):
                print(f"{name}: its tests fail without any change")
                return 1
            for number, mutant in enumerate(chosen):
                if time.monotonic() > end:
                    left += len(chosen) - number
                    break
                if _survives(checkout, AREAS[name], mutant):
                    survivors.append((name, mutant))
                    print(f"{name}: survives: {mutant.file}:{mutant.line}\n{mutant.diff()}", flush=True)
                else:
                    killed += 1
            print(f"{name}: {len(chosen)} of {len(all_of_them)} possible", flush=True)
    print(f"{killed} killed, {len(survivors)} survived, {left} not tried for want of time")
    return len(survivors)


def mutants(root: Path, file: Path) -> Iterator[Mutant]:
    """Give every mutant of one file. Annotations, docstrings and messages of errors are left as they are."""
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    before = ast.unparse(tree)
    places = [node for node in ast.walk(tree) if isinstance(node, ast.expr | ast.stmt)]
    skipped = {id(inner) for node in ast.walk(tree) for outer in _kept(node) for inner in ast.walk(outer)}
    for index, node in enumerate(places):
        if id(node) in skipped:
            continue
        for change in range(_changes(node)):
            changed = copy.deepcopy(tree)
            twin = [each for each in ast.walk(changed) if isinstance(each, ast.expr | ast.stmt)][index]
            _change(twin, change)
            after = ast.unparse(ast.fix_missing_locations(changed))
            if after != before:
                yield Mutant(file, node.lineno, before, after)


def _kept(node: ast.AST) -> Iterator[ast.AST]:
    """Give what is below *node* and no behaviour: types, docstrings, what is raised with which words."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from [each for each in [node.returns] if each]
        yield from node.decorator_list
        yield from [each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg) and each.annotation]
    if isinstance(node, ast.AnnAssign):
        yield node.annotation
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert):
        yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        yield node


def _changes(node: ast.AST) -> int:
    if isinstance(node, ast.Compare):
        return sum(type(each) in TURNED for each in node.ops)
    if isinstance(node, ast.BinOp):
        return int(type(node.op) in EXCHANGED)
    if isinstance(node, ast.Constant):
        return int(type(node.value) in {int, bool})
    if isinstance(node, ast.Return):
        return int(node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None))
    if isinstance(node, ast.Expr):
        return int(isinstance(node.value, ast.Call))
    return int(isinstance(node, ast.BoolOp | ast.If | ast.IfExp))


def _change(node: ast.AST, number: int) -> None:
    if isinstance(node, ast.Compare):
        places = [index for index, each in enumerate(node.ops) if type(each) in TURNED]
        node.ops[places[number]] = TURNED[type(node.ops[places[number]])]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.BinOp):
        node.op = EXCHANGED[type(node.op)]()
    elif isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else int(str(node.value)) + 1
    elif isinstance(node, ast.Return | ast.Expr):
        node.value = ast.Constant(None)
    elif isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)


def _survives(checkout: Path, area: Area, mutant: Mutant) -> bool:
    target = checkout / mutant.file
    kept = target.read_bytes()
    target.write_text(mutant.after, encoding="utf-8")
    try:
        return _passes(checkout, area)
    finally:
        target.write_bytes(kept)


def _passes(checkout: Path, area: Area) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *area.tests]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ran = subprocess.run(
            command,
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False  # it hangs: noticed
    return ran.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
