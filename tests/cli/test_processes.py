"""The command line as a process: pipes, signals, terminals, and a Python without click."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.terminal import WAV, Terminal

BIG = 48 * 1024 * 1024
WITHOUT_CLICK = """
import sys
class NoClick:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "click":
            raise ModuleNotFoundError("No module named 'click'", name="click")
sys.meta_path.insert(0, NoClick())
from audiostore.cli import main
main()
"""


class TestProcesses:
    def test_the_installed_command_is_the_same(self, terminal: Terminal) -> None:
        command = Path(sys.executable).with_name("audiostore")
        ran = subprocess.run([command, "--version"], capture_output=True, check=True)
        assert ran.stdout == terminal.process("--version").stdout

    def test_without_click_it_says_what_to_install(self, terminal: Terminal) -> None:
        ran = terminal.process("ls", python=("-c", WITHOUT_CLICK))
        assert (ran.returncode, ran.stdout) == (2, b"")
        assert ran.stderr == b'audiostore: the command line needs click: pip install "audiostore[cli]"\n'

    def test_a_file_goes_through_pipes(self, terminal: Terminal) -> None:
        put = terminal.process("put", "-", "--owner", "alice", "--json", typed=WAV)
        file = json.loads(put.stdout)
        assert file["filename"] == "audio.wav"
        got = terminal.process("get", file["id"], "--owner", "alice", "-o", "-")
        assert (got.returncode, got.stdout, got.stderr) == (0, WAV, b"")

    def test_a_shells_pipe_for_a_file_is_read(self, terminal: Terminal) -> None:
        os.mkfifo(terminal.folder / "fifo")
        with subprocess.Popen(["/bin/cp", "take.wav", "fifo"], cwd=terminal.folder):
            ran = terminal.process("put", "fifo", "--owner", "alice", "--json")
        assert json.loads(ran.stdout)["size"] == len(WAV)

    def test_failures_have_exit_codes_and_no_traceback(self, terminal: Terminal) -> None:
        for code, words in ((2, ["ls"]), (2, ["ls", "--owner", "a"]), (3, ["put", "x", "--owner", "a"])):
            ran = terminal.process(*words)
            assert (ran.returncode, ran.stdout) == (code, b"")
            assert len(ran.stderr.splitlines()) == 1

    @pytest.mark.parametrize(
        "words", [["ls", "--owner", "alice", "--json"], ["get", "{id}", "--owner", "alice", "-o-"]]
    )
    def test_a_reader_that_goes_away_is_no_error(self, terminal: Terminal, words: list[str]) -> None:
        file_id = terminal.put()
        read, write = os.pipe()
        os.close(read)
        try:
            ran = terminal.process(*(word.format(id=file_id) for word in words), out=write)
        finally:
            os.close(write)
        assert (ran.returncode, ran.stderr) == (141, b"")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
    def test_a_full_disk_behind_a_redirection_is_told(self, terminal: Terminal) -> None:
        terminal.put()
        with Path("/dev/full").open("wb") as full:
            ran = terminal.process("ls", "--owner", "alice", out=full)
        assert (ran.returncode, ran.stderr) == (5, b"audiostore: no space left in standard output\n")

    def test_a_terminal_of_few_characters_gets_them_escaped(self, terminal: Terminal) -> None:
        terminal.put("--filename", "Глава é.wav")
        ran = terminal.process("ls", "--owner", "alice", PYTHONIOENCODING="latin-1")
        assert (ran.returncode, ran.stderr) == (0, b"")
        assert rb"\u0413\u043b\u0430\u0432\u0430 " + "é.wav".encode("latin-1") in ran.stdout

    def test_ctrl_c_during_a_put_leaves_nothing(self, terminal: Terminal) -> None:
        terminal.put()
        with subprocess.Popen(
            [sys.executable, "-m", "audiostore", "put", "-", "--owner", "bob"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=terminal.folder,
            env=terminal.environ(),
        ) as put:
            assert put.stdin is not None
            assert put.stderr is not None
            put.stdin.write(WAV * 4000)
            put.stdin.flush()  # more than a pipe holds: it is being read
            put.send_signal(signal.SIGINT)
            with suppress(BrokenPipeError):  # it may be gone; if it just began to wait for us, this wakes it
                put.stdin.write(WAV)
                put.stdin.flush()
            said = put.stderr.read()
            with suppress(BrokenPipeError):
                put.stdin.close()
        assert (put.returncode, said.strip()) == (130, b"audiostore: interrupted")
        assert list((terminal.root / ".audiostore" / "staging").iterdir()) == []
        assert terminal.json("usage", "bob")["reserved"] == 0
        assert terminal.json("audit")["ok"]


class TestAtATerminal:
    def test_a_long_put_and_get_draw_a_bar(self, terminal: Terminal) -> None:
        terminal.take.write_bytes(WAV.ljust(BIG, b"\0"))
        code, drawn = _at_a_terminal(terminal, "put", "take.wav", "--owner", "alice")
        assert code == 0
        assert "48.0 MB of 48.0 MB" in drawn
        assert "100%" in drawn
        assert drawn.rstrip().endswith("stored take.wav, 48.0 MB, audio/wav, for alice")
        file_id = terminal.files()[0]["id"]
        code, drawn = _at_a_terminal(terminal, "get", file_id, "--owner", "alice", "-o", "copy.wav")
        assert code == 0
        assert "48.0 MB of 48.0 MB" in drawn
        assert (terminal.folder / "copy.wav").stat().st_size == BIG

    def test_json_draws_nothing(self, terminal: Terminal) -> None:
        terminal.take.write_bytes(WAV.ljust(BIG, b"\0"))
        code, drawn = _at_a_terminal(terminal, "put", "take.wav", "--owner", "alice", "--json")
        assert (code, json.loads(drawn)["size"]) == (0, BIG)

    def test_ctrl_c_at_the_bar_leaves_nothing(self, terminal: Terminal) -> None:
        terminal.take.write_bytes(WAV.ljust(BIG, b"\0"))
        terminal.run("doctor")
        code, drawn = _at_a_terminal(terminal, "put", "take.wav", "--owner", "alice", at=b"1.0 MB of")
        assert code == 130
        assert drawn.rstrip().endswith("audiostore: interrupted")
        assert terminal.files() == []
        assert list((terminal.root / ".audiostore" / "staging").iterdir()) == []

    @pytest.mark.parametrize(("answer", "left"), [(b"n\n", 1), (b"\n", 1), (b"y\n", 0)])
    def test_whoever_sits_there_is_asked(self, terminal: Terminal, answer: bytes, left: int) -> None:
        terminal.put()
        code, drawn = _at_a_terminal(
            terminal,
            "rm",
            "--owner",
            "alice",
            "--all",
            at=b"[y/N]",
            act=lambda _, keyboard: os.write(keyboard, answer),
        )
        assert (code, len(terminal.files())) == (0, left)
        assert "Delete everything of alice?" in drawn


def _interrupt(process: subprocess.Popen[bytes], _: int) -> None:
    process.send_signal(signal.SIGINT)


def _at_a_terminal(
    terminal: Terminal,
    *words: str,
    at: bytes | None = None,
    act: Callable[[subprocess.Popen[bytes], int], object] = _interrupt,
) -> tuple[int, str]:
    """Run a command at a terminal of its own, and *act* once the terminal shows *at*."""
    outside, inside = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "audiostore", *words],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        cwd=terminal.folder,
        env=terminal.environ(),
        start_new_session=True,
    ) as process:
        os.close(inside)
        drawn = b""
        try:
            while part := _read(outside):
                drawn += part
                if at is not None and at in drawn:
                    act(process, outside)
                    at = None
        except BaseException:
            process.kill()
            raise
    os.close(outside)
    return process.returncode, drawn.decode()


def _read(terminal: int) -> bytes:
    ready, _, _ = select.select([terminal], [], [], 60)
    assert ready, "a minute of silence"
    try:
        return os.read(terminal, 65536)
    except OSError:  # how a terminal says that the other side has closed it
        return b""
