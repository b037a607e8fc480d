"""The command line as a whole: which store, how it fails, what it never prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from audiostore import AudioStore, Key, ObjectStat, Staged, errors
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.cli import main
from audiostore.cli.commands import audiostore
from audiostore.cli.outcomes import Outcome, outcome_of
from audiostore.cli.session import read_env_file
from audiostore.errors import AudioStoreError, ConfigurationError, StorageFull, Unavailable
from audiostore.protocols import Progress
from tests.cli.terminal import Terminal

COMMANDS = (
    "put",
    "ls",
    "show",
    "get",
    "url",
    "rm",
    "usage",
    "quota",
    "probe",
    "peaks",
    "loudness",
    "export",
    "sweep",
    "audit",
    "promote",
    "migrate",
    "doctor",
    "bucket",
    "schema",
    "fake",
    "version",
)

GROUPS = {"quota", "bucket", "schema"}


class TestHelp:
    def test_the_commands_stand_in_the_order_of_a_files_life(self, terminal: Terminal) -> None:
        printed = terminal.run("--help").stdout
        assert tuple(re.findall(r"^  ([a-z]+)  +[A-Z]", printed, flags=re.MULTILINE)) == COMMANDS

    def test_it_has_every_exit_code(self, terminal: Terminal) -> None:
        printed = terminal.run("--help").stdout.partition("Exit codes:")[2]
        told = {int(code): meaning for code, meaning in re.findall(r"^ +([0-9]+)  (.*)$", printed, re.MULTILINE)}
        assert told == {outcome.value: outcome.meaning for outcome in Outcome}

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_its_own(self, terminal: Terminal, command: str) -> None:
        printed = terminal.run(command, "--help").stdout
        assert printed.startswith(f"Usage: audiostore {command}")
        assert max(map(len, printed.splitlines())) <= 80

    @pytest.mark.parametrize("command", [name for name in COMMANDS if name not in GROUPS | {"fake"}])
    def test_every_command_takes_json_and_a_store(self, command: str) -> None:
        options = {option for each in audiostore.commands[command].params for option in each.opts}
        assert {"--json", "--root", "--env-file"} <= options

    @pytest.mark.parametrize("words", [[], ["quota"]])
    def test_without_a_command_it_comes_by_itself_as_a_mistake(self, terminal: Terminal, words: list[str]) -> None:
        result = terminal.run(*words, code=2)
        assert result.stderr.startswith("Usage: audiostore")
        assert result.stdout == ""

    def test_version_tells_what_a_report_needs(self, terminal: Terminal) -> None:
        assert set(terminal.json("version")) == {"audiostore", "python", "sqlite", "click"}
        assert terminal.json("version")["audiostore"] in terminal.run("--version").stdout
        assert not terminal.root.exists()


class TestWhichStore:
    def test_root_wins_over_the_environment(self, terminal: Terminal) -> None:
        terminal.run("put", terminal.take, "--owner", "alice", "--root", "other")
        assert not terminal.root.exists()
        assert terminal.run("--root", "other", "ls", "--owner", "alice").stdout

    def test_root_does_not_even_read_it(self, terminal: Terminal) -> None:
        ran = terminal.process("usage", "alice", "--root", "other", FREE_USER_QUOTA_MB="nonsense")
        assert b"there is no store in other" in ran.stderr

    def test_an_env_file_takes_the_environments_place(self, terminal: Terminal) -> None:
        (terminal.folder / "env").write_text("UPLOAD_FOLDER=other\nFREE_USER_QUOTA_MB=1\n")
        terminal.run("put", terminal.take, "--owner", "alice", "--env-file", "env")
        assert not terminal.root.exists()
        assert terminal.json("usage", "alice", "--env-file", "env")["quota"] == 1024**2

    @pytest.mark.parametrize("command", [["ls", "--owner", "a"], ["sweep"], ["audit"], ["usage", "a"]])
    def test_a_mistyped_folder_is_not_filled(self, terminal: Terminal, command: list[str]) -> None:
        said = terminal.run(*command, "--root", "tpyo", code=2).stderr
        assert said.startswith("audiostore: there is no store in tpyo")
        assert not (terminal.folder / "tpyo").exists()

    def test_root_and_env_file_exclude_each_other(self, terminal: Terminal) -> None:
        (terminal.folder / "env").touch()
        terminal.run("ls", "--owner", "a", "--root", "store", "--env-file", "env", code=2)
        terminal.run("--root", "store", "ls", "--owner", "a", "--env-file", "env", code=2)

    def test_a_wrong_setting_is_named(self, terminal: Terminal) -> None:
        (terminal.folder / "env").write_text("MAX_FILE_SIZE_MB=big\n")
        told = terminal.error("ls", "--owner", "a", "--env-file", "env", code=2)
        assert told["error"] == "ConfigurationError"
        assert "MAX_FILE_SIZE_MB" in told["message"]
        terminal.run("ls", "--owner", "a", "--env-file", "no-such-file", code=2)


class TestEnvFile:
    def test_what_is_understood(self, tmp_path: Path) -> None:
        (tmp_path / "env").write_text(
            "\ufeff# a comment\n\nexport A=plain  # told\nB='single $HOME # \\n'\n"
            r'C="double \"x\" \$y\n"  # told'
            "\nD=\n  E=a=b#c \n",
            encoding="utf-8",
        )
        assert read_env_file(tmp_path / "env") == {
            "A": "plain",
            "B": "single $HOME # \\n",
            "C": 'double "x" $y\n',
            "D": "",
            "E": "a=b#c",
        }

    @pytest.mark.parametrize(
        "line",
        [
            "SECRET",
            "SECRET: hush",
            "1SECRET=hush",
            "SECRET = hush",
            "SECRET='hush",
            'SECRET="hush" hush',
            "SECRET=hush hush",
            "SECRET=$HUSH",
            'SECRET="${HUSH}"',
            "SECRET=`hush`",
            "SECRET=hush\nSECRET=hush",
        ],
    )
    def test_what_is_not_is_refused_and_never_repeated(self, tmp_path: Path, line: str) -> None:
        (tmp_path / "env").write_text(f"A=1\n{line}\n")
        with pytest.raises(ConfigurationError, match=r"env, line [23]") as refused:
            read_env_file(tmp_path / "env")
        assert "hush" not in str(refused.value).lower()

    def test_bytes_that_are_no_text_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "env").write_bytes(b"A=\xff\n")
        with pytest.raises(ConfigurationError, match="not UTF-8"):
            read_env_file(tmp_path / "env")


class TestErrors:
    def test_every_error_of_the_library_has_its_exit_code(self) -> None:
        codes = {
            each.__name__: outcome_of(each.__new__(each)).value
            for each in vars(errors).values()
            if isinstance(each, type) and issubclass(each, AudioStoreError)
        }
        assert codes == {
            "AudioStoreError": 4,
            "NotFound": 3,
            "AlreadyExists": 4,
            "SectionsMissing": 3,
            "InvalidBook": 2,
            "Cancelled": 4,
            "InvalidKey": 2,
            "PermissionDenied": 4,
            "QuotaExceeded": 4,
            "FileTooLarge": 4,
            "UnsupportedAudio": 4,
            "ChecksumMismatch": 6,
            "ReservationExpired": 5,
            "LinkInvalid": 4,
            "LinkExpired": 4,
            "StorageFull": 5,
            "Unavailable": 5,
            "NotSupported": 2,
            "ConfigurationError": 2,
        }

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (Unavailable("disk", retryable=True), "unavailable: disk; try again"),
            (StorageFull("store", needed=2048, free=1024), "no space left in store: 2.0 KB needed, 1.0 KB free"),
        ],
    )
    def test_an_outage_says_to_try_again(self, terminal: Terminal, error: AudioStoreError, said: str) -> None:
        store = AudioStore(_Broken(error), MemoryCatalog())
        result = terminal.run_on(store, "put", terminal.take, "--owner", "alice", code=5)
        assert result.stderr == f"audiostore: {said}\n"
        result = terminal.run_on(store, "put", terminal.take, "--owner", "alice", "--json", code=5)
        told = json.loads(result.stderr)
        assert (told["error"], told["retryable"]) == (type(error).__name__, error.retryable)
        assert store.usage("alice").reserved == 0

    def test_wrong_usage_is_json_too(self, terminal: Terminal) -> None:
        told = terminal.error("put", code=2)
        assert told["error"] == "UsageError"
        assert told["message"].endswith("(see audiostore put --help)")

    def test_a_bug_is_shown_in_full_and_named_in_json(
        self, terminal: Terminal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        terminal.put()
        monkeypatch.setattr(AudioStore, "sweep", _bug)
        monkeypatch.setenv("UPLOAD_FOLDER", str(terminal.root))
        assert _exit_code(lambda: main(["sweep"])) == 1
        said = capsys.readouterr().err
        assert said.startswith("Traceback")
        assert said.endswith("audiostore: unexpected KeyError: 'bug'\n")
        assert _exit_code(lambda: main(["sweep", "--json"])) == 1
        assert json.loads(capsys.readouterr().err)["error"] == "KeyError"

    def test_a_hostile_word_is_told_on_one_harmless_line(self, terminal: Terminal) -> None:
        terminal.put()
        said = terminal.run("show", "\x1b[2J\nx", code=3).stderr
        assert said == "audiostore: not found: file \\x1b[2J\\nx\n"

    def test_neither_secret_nor_token_is_printed_unasked(self, terminal: Terminal) -> None:
        (terminal.folder / "env").write_text("AUDIOSTORE_SECRET=hush-hush-hush-hush\nUPLOAD_FOLDER=store\n")
        env = ("--env-file", "env")
        file_id = terminal.put(*env)
        for words in (["ls", "--owner", "alice", "-l"], ["show", file_id], ["usage", "alice"], ["sweep"], ["audit"]):
            assert "hush" not in terminal.run(*words, *env).output
        printed = terminal.run("doctor", *env).output + terminal.run("doctor", "--json", *env).output
        assert "hush" not in printed
        assert "v1." not in printed
        (terminal.folder / "env").write_text("AUDIOSTORE_SECRET=hush\nUPLOAD_FOLDER=store\n")
        assert "hush" not in terminal.run("ls", "--owner", "alice", *env, code=2).output


class _Broken(MemoryBackend):
    def __init__(self, error: AudioStoreError) -> None:
        super().__init__()
        self._error = error

    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        raise self._error


def _bug(*_: object, **__: object) -> None:
    raise KeyError("bug")


def _exit_code(call: Callable[[], object]) -> object:
    with pytest.raises(SystemExit) as ended:
        call()
    return ended.value.code
