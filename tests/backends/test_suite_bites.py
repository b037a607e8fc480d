"""The shipped suite, put to the test: each backend that is wrong in one way fails the test that is about it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from audiostore.testing import BackendSuite
from tests.backends import wrong_keepers, wrong_readers, wrong_writers
from tests.backends.wrong import CAUGHT_BY, Wrong

ROOT = Path(__file__).parents[2]
KINDS = (wrong_keepers, wrong_readers, wrong_writers)

HEAD = """
import pytest
from audiostore.backends.memory import MemoryBackend
from audiostore.testing import BackendSuite
from tests.backends import wrong_keepers, wrong_readers, wrong_writers

class TestWithoutABackend(BackendSuite):
    pass

class TestRight(BackendSuite):
    @pytest.fixture
    def backend(self):
        return MemoryBackend()
"""
WRONG = """
class Test{name}(BackendSuite):
    @pytest.fixture
    def backend(self):
        return {module}.{name}()
"""


class Outcomes:
    """What one run of pytest told: the tests that failed and passed, by class."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.told: dict[tuple[str, str], set[str]] = defaultdict(set)
        for outcome, name, test in re.findall(r"^(PASSED|FAILED|ERROR) \S+::Test(\w+)::(\w+)", output, re.MULTILINE):
            self.told[name, outcome].add(test)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    # One run for all, in a process of its own: the suite as an outsider meets it.
    folder = tmp_path_factory.mktemp("suite")
    classes = [
        HEAD,
        *(WRONG.format(module=wrong.__module__.rpartition(".")[2], name=wrong.__name__) for wrong in CAUGHT_BY),
    ]
    (folder / "test_it.py").write_text("\n".join(classes))
    settings = (
        "filterwarnings = error",
        "addopts = -p no:cacheprovider --import-mode=importlib",
        f"pythonpath = {ROOT}",
    )
    (folder / "pytest.ini").write_text("\n".join(["[pytest]", *settings]))
    chosen = ["test_it.py::TestRight", "test_it.py::TestWithoutABackend::test_it_has_a_name_that_stays"]
    chosen += [f"test_it.py::Test{wrong.__name__}::{test}" for wrong, test in CAUGHT_BY.items()]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=line", *chosen]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return Outcomes(ran.stdout + ran.stderr)


def the_tests_of_the_suite() -> set[str]:
    return {name for name, _ in inspect.getmembers(BackendSuite, inspect.isfunction) if name.startswith("test_")}


@pytest.mark.parametrize("wrong", CAUGHT_BY, ids=lambda wrong: wrong.__name__)
def test_a_wrong_backend_fails_the_test_that_is_about_it(outcomes: Outcomes, wrong: type[Wrong]) -> None:
    assert outcomes.told[wrong.__name__, "FAILED"] == {CAUGHT_BY[wrong]}, outcomes.output


def test_every_test_of_the_suite_has_caught_something() -> None:
    assert {wrong.__module__ for wrong in CAUGHT_BY} == {kind.__name__ for kind in KINDS}
    assert the_tests_of_the_suite() == set(CAUGHT_BY.values())


def test_a_right_backend_passes_with_warnings_as_errors(outcomes: Outcomes) -> None:
    assert outcomes.told["Right", "PASSED"] == the_tests_of_the_suite(), outcomes.output
    assert outcomes.told["Right", "FAILED"] == outcomes.told["Right", "ERROR"] == set()


def test_a_suite_without_a_backend_says_what_it_needs(outcomes: Outcomes) -> None:
    assert outcomes.told["WithoutABackend", "ERROR"] == {"test_it_has_a_name_that_stays"}
    assert "give your suite a fixture named `backend`" in outcomes.output


def test_without_pytest_it_says_what_to_install(tmp_path: Path) -> None:
    script = "import sys; sys.modules['pytest'] = None; from audiostore.testing import BackendSuite"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode
    assert 'pip install "audiostore[testing]"' in ran.stderr
