"""Try what was built as users have it: installed from the wheel, on each Python, with each extra, with old versions.

``run.py pythons`` and ``run.py oldest`` call this. The tests come out of the sdist, whose ``src`` is taken away first.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
OLDEST = (3, 11)
TOOLS = ("pytest==", "pluggy==", "packaging==", "iniconfig==", "pygments==")
EXTRAS = ("supabase", "postgres", "audio", "cli", "testing", "all")

# What is about the installed package, and takes a minute or two: no races, no browser, nothing that reads src.
PART = [
    *("tests/words", "tests/store", "tests/backends", "tests/catalogs", "tests/audio_processing", "tests/cli"),
    *("tests/supabase", "tests/fake", "tests/postgres", "tests/test_serving.py", "tests/test_serving_uploads.py"),
    *("tests/test_signing.py", "tests/test_quota.py", "tests/test_media.py", "tests/test_paths.py"),
    *("tests/test_path_suite.py", "README.md"),
    "--ignore=tests/postgres/test_defects_table.py",  # reads src
    *("-m", "not slow and not browser", "-n", "2", "--dist", "loadfile", "-q", "-p", "no:cacheprovider"),
]
# No test uses its plugin, and an old one can't be loaded by a new pytest without a warning; nor can a pytest in a test.
ADDED = {"PYTEST_ADDOPTS": "-p no:anyio"}


def main() -> int:
    """Find the Pythons and try them one after the other; the exit code tells whether all went well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["pythons", "oldest"])
    parser.add_argument("versions", nargs="*", help="such as 3.12 (default: every Python that is found)")
    parser.add_argument("--smoke", action="store_true", help="leave the tests out")
    asked = parser.parse_intermixed_args()
    found = {version: python for version, python in pythons().items() if version in (asked.versions or [version])}
    if missing := set(asked.versions) - set(found):
        print(f"not found: {', '.join(sorted(missing))}")
    if asked.what == "oldest":
        found = dict(list(found.items())[:1])  # old versions have wheels for old Pythons
    failed = bool(missing) or not found
    with tempfile.TemporaryDirectory(prefix="audiostore-installed-") as folder:
        checkout = unpack(Path(folder))
        for version, python in found.items():
            environment = Environment(python, Path(folder) / version, checkout)
            print(f"\n==== Python {version}: {python}", flush=True)
            trials = [environment.oldest] if asked.what == "oldest" else [environment.smoke, environment.extras]
            if asked.what == "pythons" and not asked.smoke:
                trials.append(environment.tests)
            for trial in trials:
                failed = not trial() or failed
    print("\nsomething failed" if failed else "\nall well")
    return int(failed)


def pythons() -> dict[str, Path]:
    """Give the newest of each Python that is new enough, by its ``3.x``: those on the PATH, and those of pyenv."""
    roots = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"]
    places = [Path(each) for each in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    places += [each for root in roots if root.is_dir() for each in root.glob("3.*/bin")]
    newest: dict[str, tuple[list[int], Path]] = {}
    for program in (each for place in places if place.is_dir() for each in place.glob("python3.*")):
        if not re.fullmatch(r"python3\.\d+", program.name) or not os.access(program, os.X_OK):
            continue
        told = subprocess.run(
            [program, "-c", "import sys; print(*sys.version_info[:3], sys.executable)"],
            capture_output=True,
            text=True,
            check=False,
        )
        if not told.stdout:
            continue  # a shim of pyenv that leads nowhere
        *numbers, itself = told.stdout.split(maxsplit=3)
        version = [int(each) for each in numbers]
        name = ".".join(numbers[:2])
        if tuple(version) >= OLDEST and version > newest.get(name, ([], program))[0]:
            newest[name] = (version, Path(itself.strip()))
    return {name: newest[name][1] for name in sorted(newest, key=lambda name: newest[name][0])}


def unpack(folder: Path) -> Path:
    """Give a folder with what the sdist holds but the library: nothing but the wheel can be imported there."""
    with tarfile.open(next((ROOT / "dist").glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    checkout = next(each for each in folder.iterdir() if each.is_dir())
    shutil.rmtree(checkout / "src")
    return checkout


class Environment:
    """Virtual environments of one Python, each made from nothing."""

    def __init__(self, python: Path, folder: Path, checkout: Path) -> None:
        self._base = python
        self._folder = folder
        self._checkout = checkout
        self._wheel = next((ROOT / "dist").glob("*.whl"))

    def smoke(self) -> bool:
        return self._run(self._made("core", str(self._wheel)), "-I", ROOT / "scripts" / "smoke.py")

    def extras(self) -> bool:
        """Try each extra alone."""
        ran = [
            self._run(self._made(extra, f"{self._wheel}[{extra}]"), "-I", ROOT / "scripts" / "smoke_extra.py", extra)
            for extra in EXTRAS
        ]
        return all(ran)

    def tests(self) -> bool:
        return self._test()

    def oldest(self) -> bool:
        """Try the lowest versions that the extras allow, all at once; then run the tests on them.

        The tests themselves need a newer pytest than the extra ``testing`` does.
        """
        lowest = self._checkout / "lowest.txt"
        words = [
            "--all-extras",
            "--resolution",
            "lowest-direct",
            "--no-annotate",
            "--no-header",
            "-q",
            "-o",
            str(lowest),
        ]
        subprocess.run(
            [UV, "pip", "compile", "pyproject.toml", *words, "--python", self._base],
            check=True,
            cwd=self._checkout,
            stdout=subprocess.DEVNULL,
        )
        print(lowest.read_text(), flush=True)
        smoked = self._made("oldest", f"{self._wheel}[all]", "-c", str(lowest))
        if not self._run(smoked, "-I", ROOT / "scripts" / "smoke_extra.py", "all"):
            return False
        but_pytest = [line for line in lowest.read_text().splitlines() if not line.startswith(TOOLS)]
        lowest.write_text("\n".join(but_pytest))
        return self._test("-c", str(lowest))

    def _test(self, *constraints: str) -> bool:
        group = ["--group", f"{self._checkout}/pyproject.toml:test"]
        return self._run(self._made("tests", f"{self._wheel}[all]", *group, *constraints), "-m", "pytest", *PART)

    def _made(self, name: str, *needs: str) -> Path:
        place = self._folder / name
        python = place / "bin" / "python"
        subprocess.run([UV, "venv", "-q", "--no-project", "--python", self._base, place], check=True)
        subprocess.run([UV, "pip", "install", "-q", "--python", python, *needs], check=True, cwd=self._checkout)
        return python

    def _run(self, python: Path, *words: str | Path) -> bool:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | ADDED
        ran = subprocess.run(
            [python, *words], cwd=self._checkout, env=environment, stdin=subprocess.DEVNULL, check=False
        )
        if ran.returncode:
            print(f"failed: {' '.join(map(str, words[:3]))}", flush=True)
        return ran.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
