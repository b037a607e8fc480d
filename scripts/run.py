"""Run what this project is run with, from a bare checkout: ``python3 scripts/run.py COMMAND``.

Needs Python 3.11 or newer and nothing else: it makes its own virtual environment in ``.venv``, installs what the
command needs, and installs again when ``pyproject.toml`` has changed. Written so that an older Python can still read
it, and say what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)
LEVELS = ("runtime", "test", "dev", "release")  # each holds the ones before it

COMMANDS = {
    "demo": "the main job end to end on disk + SQLite, with a real recording (demo supabase: on a served fake)",
    "tests": "every test: the code, the docs, the README, a real browser (more words go to pytest)",
    "soak": "the whole of what the tests do a share of: long races, fault matrices, loops of kills",
    "mutants": "break the library in small ways, a sample of them, and see whether the tests notice",
    "lint": "ruff, mypy, pyright and the layer contracts",
    "docs": "check the generated tables, then build the site into site/",
    "api": "what breaks code that uses the last release (nothing may, within a minor version)",
    "tables": "write the generated tables of the docs anew",
    "wheel": "build the sdist and the wheel, and try the wheel in an environment of its own",
    "pythons": "the wheel on every Python that is found: each extra alone, and most tests (or: pythons 3.13 --smoke)",
    "oldest": "the wheel with the oldest versions that its extras allow, and most tests",
    "bench": "the benchmarks, all or those that are named (--table: into docs/benchmarks.md, or --quick)",
}


def main() -> int:
    """Parse the command line and run one command; the exit code is the worst of what ran."""
    if sys.version_info < OLDEST:
        return _with_another_python()
    listing = "\n".join(f"  {name:7}{what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        description=f"{(__doc__ or '').splitlines()[0]}\n\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="python3 scripts/run.py COMMAND [...]",
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("--coverage", action="store_true", help="tests: measure branch coverage as well")
    options, more = parser.parse_known_args()
    os.chdir(str(ROOT))
    # A shell that starts us in the background has SIGINT ignored, and so would every child that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run = {
        "demo": demo,
        "tests": coverage if options.coverage else tests,
        "soak": soak,
        "mutants": mutants,
        "lint": lint,
        "docs": docs,
        "tables": tables,
        "api": api,
        "wheel": wheel,
        "pythons": pythons,
        "oldest": oldest,
        "bench": bench,
    }[options.command]
    try:
        return run(more)
    except subprocess.CalledProcessError as error:
        return error.returncode or 1
    except KeyboardInterrupt:
        return 130


def demo(more: list[str]) -> int:
    if more[:1] == ["supabase"]:
        install("test")  # it needs the extra
        return call(PYTHON, "examples/quickstart_supabase.py", *more[1:])
    install("runtime")
    return call(PYTHON, "examples/quickstart.py", *more)


def tests(more: list[str]) -> int:
    install("test")
    browser()
    return call(PYTHON, "-m", *_pytest(more))


def coverage(more: list[str]) -> int:
    install("test")
    browser()
    tool = [str(PYTHON), "-m", "coverage"]
    call(*tool, "erase")
    code, closing = _call_and_keep_last_line(*tool, "run", "-m", *_pytest(more))
    # A process that was killed on purpose may leave half a data file: it is named, and the rest counts.
    call(*tool, "combine", "--quiet")
    reported = call(*tool, "report")
    # A run that was killed has no closing line; whatever it printed last must not look like one.
    say(closing if code >= 0 else f"pytest was killed by signal {-code}")
    return abs(code) or reported


def soak(more: list[str]) -> int:
    """Do the whole of what the tests do a share of, then the loops; everything runs, whatever failed before it."""
    install("test")
    os.environ["TEST_SOAK"] = "1"
    loops = [
        ["tests/crashes/kill_loop.py", "--kills", "5000"],
        ["tests/crashes/kill_loop.py", "--kills", "1000", "--world", "cloud"],
        ["tests/crashes/whole_matrix.py", "--world", "disk"],
        ["tests/crashes/whole_matrix.py", "--world", "cloud"],
    ]
    failed = call(PYTHON, "-m", *_pytest(["-m", "slow", *more]))
    for loop in loops:
        say("$ python " + " ".join(loop))
        failed = call(PYTHON, *loop) or failed
    return failed


def mutants(more: list[str]) -> int:
    install("test")
    return call(PYTHON, "scripts/mutants.py", *more)


def lint(more: list[str]) -> int:
    install("dev")
    checks = [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["pyright", "--pythonpath", str(PYTHON)],
        ["lint-imports", "--no-logo"],
    ]
    failed: list[str] = []
    for name, *words in checks:
        say("$ " + " ".join([name, *words]))
        if call(VENV / "bin" / name, *words):
            failed.append(name)
    if failed:
        say("failed: " + ", ".join(failed))
    return len(failed)


def docs(more: list[str]) -> int:
    install("dev")
    return call(PYTHON, "scripts/tables.py", "--check") or call(
        VENV / "bin" / "zensical", "build", "--strict", "--clean"
    )


def tables(more: list[str]) -> int:
    install("dev")
    return call(PYTHON, "scripts/tables.py")


def api(more: list[str]) -> int:
    install("dev")
    return call(PYTHON, "scripts/api.py")


def wheel(more: list[str]) -> int:
    install("dev")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    code = call(PYTHON, "-m", "build", "--outdir", "dist")
    if code:
        return code
    built = next((ROOT / "dist").glob("*.whl"))
    with tempfile.TemporaryDirectory() as folder:
        # Away from the checkout, so that nothing but the wheel can be imported.
        elsewhere = Path(folder)
        subprocess.run([sys.executable, "-m", "venv", str(elsewhere / "venv")], check=True)
        python = elsewhere / "venv" / "bin" / "python"
        subprocess.run([str(python), "-m", "pip", "install", "-qq", str(built)], check=True)
        return call(python, "-I", ROOT / "scripts" / "smoke.py", cwd=elsewhere)


def pythons(more: list[str]) -> int:
    return _installed("pythons", more)


def oldest(more: list[str]) -> int:
    return _installed("oldest", more)


def _installed(what: str, more: list[str]) -> int:
    install("release")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    return call(PYTHON, "-m", "build", "--outdir", "dist") or call(PYTHON, "scripts/installed.py", what, *more)


def bench(more: list[str]) -> int:
    install("test")
    if "--table" in more:
        return call(PYTHON, "-m", "benchmarks._table", *[word for word in more if word != "--table"])
    names = [word for word in more if not word.startswith("-")] or sorted(
        file.stem for file in (ROOT / "benchmarks").glob("[a-z]*.py")
    )
    options = [word for word in more if word.startswith("-")]
    worst = 0
    for name in names:
        say(f"\n{name}")
        worst = max(worst, call(PYTHON, "-m", f"benchmarks.{name}", *options))
    return worst


def install(what: str) -> None:
    """Make ``.venv`` hold this checkout with *what* it needs, one of ``LEVELS``, unless it does already."""
    facts = [(ROOT / each).read_bytes() for each in ("pyproject.toml", "src/audiostore/_version.py")]
    wanted = hashlib.sha256(b"".join([*facts, sys.version.encode()])).hexdigest()
    stamps = [VENV / f".installed-{level}" for level in LEVELS[LEVELS.index(what) :]]
    if PYTHON.exists() and any(stamp.exists() and stamp.read_text() == wanted for stamp in stamps):
        return
    begun = time.monotonic()
    say(f"preparing .venv ({what}), once ...")
    if not _same_python():
        _make_venv()
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    needs = ["-e", "."]
    if what != "runtime":
        # Dependency groups came with pip 25.1.
        subprocess.run([*pip, "--upgrade", "pip>=25.1"], check=True)
        needs += ["--group", what]
    subprocess.run([*pip, *needs], check=True)
    stamps[0].write_text(wanted)
    say(f"prepared in {time.monotonic() - begun:.0f} s")


def browser() -> None:
    """Install Chromium and its driver where that is possible; the browser test says so when it must skip."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        say(f"not found: {' and '.join(missing)}; the browser test will skip")
        say("(on Debian, as root: apt-get install chromium chromium-driver)")
        return
    say("installing chromium and chromium-driver ...")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    install = ["install", "-qq", "-y", "--no-install-recommends", "chromium", "chromium-driver"]
    for words in (["update", "-qq"], install):
        if call("apt-get", *words, quiet=True):
            say(f"apt-get {words[0]} failed; the browser test will skip")
            return


def call(*command: str | Path, cwd: Path = ROOT, quiet: bool = False) -> int:
    """Run *command* to its end and give its exit code. It never waits for someone to type."""
    words = [str(word) for word in command]
    out = subprocess.DEVNULL if quiet else None
    return subprocess.run(words, cwd=str(cwd), stdin=subprocess.DEVNULL, stdout=out, check=False).returncode


def say(text: str) -> None:
    print(text, flush=True)


def _pytest(more: list[str]) -> list[str]:
    # Two workers, and each file whole in one of them: the blocks of a page build on one another.
    return [
        "pytest",
        *([] if any(word.startswith("-n") for word in more) else ["-n", "2", "--dist", "loadfile"]),
        *more,
    ]


def _call_and_keep_last_line(*command: str | Path) -> tuple[int, str]:
    closing = ""
    with subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            closing = line.strip() or closing
    return process.returncode, closing


def _same_python() -> bool:
    if not PYTHON.exists():
        return False
    answer = subprocess.run(
        [str(PYTHON), "-c", "import sys, pip; print(sys.version)"], capture_output=True, text=True, check=False
    )
    return answer.returncode == 0 and answer.stdout.strip() == sys.version


def _make_venv() -> None:
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False).returncode:
        say("Python can't make a virtual environment here. On Debian and Ubuntu: apt-get install python3-venv")
        raise SystemExit(1)


def _with_another_python() -> int:
    test = "import sys; sys.exit(sys.version_info < " + repr(OLDEST) + ")"
    for minor in range(20, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.call([found, "-c", test], stderr=subprocess.DEVNULL) == 0:
            os.execv(found, [found, *sys.argv])
    mine = ".".join(str(part) for part in sys.version_info[:3])
    say(f"audiostore needs Python 3.11 or newer; {sys.executable} is {mine}, and no python3.11 or newer is on the PATH")
    return 2


if __name__ == "__main__":
    sys.exit(main())
