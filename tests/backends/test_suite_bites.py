"""The shipped suite, put to the test: each backend that is wrong in one way fails the test that is about it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from audiostore.testing import BackendSuite
from tests.backends.wrong_backends import CAUGHT_BY, Wrong

pytest_plugins = ["pytester"]

SUITE = """
import pytest
from audiostore.testing import BackendSuite
from {module} import {backend}

class TestIt(BackendSuite):
    @pytest.fixture
    def backend(self):
        return {backend}()
"""


@pytest.fixture(autouse=True)
def _quiet(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = -p no:cacheprovider --import-mode=importlib\n")


def failed_tests(pytester: pytest.Pytester, backend: type, *options: str) -> tuple[set[str], int]:
    pytester.makepyfile(SUITE.format(module=backend.__module__, backend=backend.__name__))
    outcome = pytester.inline_run(*options)
    passed, _, failed = outcome.listoutcomes()
    names = {each.nodeid.rpartition("::")[2].partition("[")[0] for each in failed if each.when == "call"}
    return names, len(passed)


def the_tests_of_the_suite() -> set[str]:
    return {name for name, _ in inspect.getmembers(BackendSuite, inspect.isfunction) if name.startswith("test_")}


@pytest.mark.parametrize("wrong", CAUGHT_BY, ids=lambda wrong: wrong.__name__)
def test_a_wrong_backend_fails_the_test_that_is_about_it(pytester: pytest.Pytester, wrong: type[Wrong]) -> None:
    failed, _ = failed_tests(pytester, wrong, "-k", CAUGHT_BY[wrong])
    assert failed == {CAUGHT_BY[wrong]}


def test_every_test_of_the_suite_has_caught_something() -> None:
    assert the_tests_of_the_suite() == set(CAUGHT_BY.values())


def test_a_right_backend_passes_with_warnings_as_errors(pytester: pytest.Pytester) -> None:
    from audiostore.backends.memory import MemoryBackend

    failed, passed = failed_tests(pytester, MemoryBackend)
    assert failed == set()
    assert passed > len(the_tests_of_the_suite())


def test_a_suite_without_a_backend_says_what_it_needs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("from audiostore.testing import BackendSuite\nclass TestIt(BackendSuite): pass")
    outcome = pytester.runpytest_inprocess("-k", "name_that_stays")
    outcome.stdout.fnmatch_lines(["*give your suite a fixture named `backend`*"])


def test_without_pytest_it_says_what_to_install(tmp_path: Path) -> None:
    script = "import sys; sys.modules['pytest'] = None; import audiostore.testing"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode
    assert 'pip install "audiostore[testing]"' in ran.stderr
