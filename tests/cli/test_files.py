"""put, ls, show, get, url, rm: a file's life at the command line."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest

from audiostore import AudioStore, serve
from audiostore.cli.parsing import parse_duration
from audiostore.cli.showing import as_file_name
from tests.cli.terminal import OLD_RUNNER, WAV, Terminal


class TestPut:
    def test_the_answer_is_the_id_of_a_stored_file(self, terminal: Terminal) -> None:
        file_id = terminal.put("--project", "p1", "--chapter", "1", "--section", "2")
        with AudioStore.local(terminal.root) as store:
            file = store.find(file_id, owner="alice")
            assert (file.project, file.chapter, file.section, file.filename) == ("p1", "1", "2", "take.wav")
            assert store.get(file) == WAV

    def test_json_is_the_whole_record(self, terminal: Terminal) -> None:
        file = terminal.json("put", terminal.take, "--owner", "alice", "--meta", "voice=Ada", "--meta", "empty=")
        assert file["sha256"] == hashlib.sha256(WAV).hexdigest()
        assert file["metadata"] == {"voice": "Ada", "empty": ""}

    def test_standard_input_is_stored_under_the_name_that_is_given(self, terminal: Terminal) -> None:
        file = terminal.json("put", "-", "--owner", "alice", "--filename", "Kapitel é.wav", typed=WAV)
        assert (file["filename"], file["size"]) == ("Kapitel é.wav", len(WAV))

    def test_a_type_that_is_given_wins(self, terminal: Terminal) -> None:
        file = terminal.json("put", terminal.take, "--owner", "alice", "--content-type", "audio/flac")
        assert file["content_type"] == "audio/flac"

    def test_the_same_idempotency_key_stores_once(self, terminal: Terminal) -> None:
        assert terminal.put("--idempotency-key", "k") == terminal.put("--idempotency-key", "k")
        assert len(terminal.files()) == 1

    def test_an_idempotency_key_is_for_one_request(self, terminal: Terminal) -> None:
        terminal.put("--idempotency-key", "k")
        told = terminal.error(
            "put", terminal.take, "--owner", "alice", "--project", "p2", "--idempotency-key", "k", code=4
        )
        assert (told["error"], told["reason"]) == ("AlreadyExists", "idempotency")

    def test_move_takes_the_file_away(self, terminal: Terminal) -> None:
        terminal.put("--move")
        assert not terminal.take.exists()

    def test_what_is_refused_is_not_moved(self, terminal: Terminal) -> None:
        terminal.take.write_bytes(b"")
        terminal.run("put", terminal.take, "--owner", "alice", "--move", code=4)
        assert terminal.take.exists()

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (["put", "nothing.wav", "--owner", "alice"], 3, "not found: nothing.wav"),
            (["put", ".", "--owner", "alice"], 2, "is a directory"),
            (["put", "empty.wav", "--owner", "alice"], 4, "unsupported audio"),
            (["put", "take.wav"], 2, "--owner"),
            (["put", "take.wav", "--owner", ""], 2, "owner is empty"),
            (["put", "take.wav", "--owner", "alice", "--project", ""], 2, "project is empty"),
            (["put", "take.wav", "--owner", "alice", "--content-type", "noise"], 2, "not a media type"),
            (["put", "take.wav", "--owner", "alice", "--meta", "voice"], 2, "not key=value"),
            (["put", "take.wav", "--owner", "alice", "--meta", "a=1", "--meta", "a=2"], 2, "given twice"),
            (["put", "-", "--owner", "alice", "--move"], 2, "--move needs a FILE"),
        ],
    )
    def test_a_mistake_is_one_line_and_stores_nothing(
        self, terminal: Terminal, words: list[str], code: int, said: str
    ) -> None:
        (terminal.folder / "empty.wav").touch()
        result = terminal.run(*words, code=code)
        assert re.fullmatch(r"audiostore: [^\n]*" + re.escape(said) + r"[^\n]*\n", result.stderr)
        assert result.stdout == ""
        assert terminal.json("audit")["files"] == 0 if terminal.root.exists() else True


class TestLs:
    def test_places_restrict_it(self, terminal: Terminal) -> None:
        first, second = terminal.put("--project", "p1"), terminal.put("--project", "p2", "--chapter", "3")
        assert terminal.run("ls", "--owner", "alice", "--project", "p2").stdout.split()[0] == second
        assert [each["id"] for each in terminal.files()] == [first, second]
        assert terminal.files("bob") == []

    def test_columns_stand_below_one_another(self, terminal: Terminal) -> None:
        terminal.put("--project", "本")
        terminal.put("--project", "a-long-name", "--section", "12")
        first, second = terminal.run("ls", "--owner", "alice").stdout.splitlines()
        # A wide character takes two cells of a terminal.
        assert first.index("take.wav") + 1 == second.index("take.wav")
        assert "本/-/-" in first

    def test_long_tells_type_and_key_too(self, terminal: Terminal) -> None:
        terminal.put()
        assert "take.wav" not in terminal.run("ls", "--owner", "alice", "--project", "p").stdout
        line = terminal.run("ls", "--owner", "alice", "--long").stdout
        assert "audio/wav" in line
        assert terminal.files()[0]["key"] in line

    def test_a_hostile_name_does_not_reach_the_terminal(self, terminal: Terminal) -> None:
        terminal.put("--filename", "a\x1b]0;owned\x07\nb\u202e.wav")
        for words in (
            ["ls", "--owner", "alice"],
            ["ls", "--owner", "alice", "-l"],
            ["show", terminal.files()[0]["id"]],
        ):
            printed = terminal.run(*words).stdout
            assert r"a\x1b]0;owned\x07\nb\u202e.wav" in printed
            assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", printed)

    def test_more_than_a_page_is_listed(self, terminal: Terminal) -> None:
        with AudioStore.local(terminal.root) as store:
            for _ in range(205):
                store.put(WAV, owner="alice")
        assert len(terminal.run("ls", "--owner", "alice").stdout.splitlines()) == 205


class TestShow:
    def test_every_fact_is_told(self, terminal: Terminal) -> None:
        file_id = terminal.put("--meta", "voice=Ada")
        printed = terminal.run("show", file_id).stdout
        for fact in (file_id, "alice", "take.wav", hashlib.sha256(WAV).hexdigest(), "1.0 KB", "voice", "Ada"):
            assert fact in printed

    def test_a_path_that_an_app_kept_is_found(self, terminal: Terminal) -> None:
        terminal.put()
        key = terminal.files()[0]["key"]
        assert terminal.json("show", "--path", key, "--owner", "alice")["key"] == key
        terminal.run("show", "--path", key, "--owner", "bob", code=3)
        terminal.run("show", "--path", "../../etc/passwd", "--owner", "alice", code=3)

    def test_it_is_an_id_or_a_path(self, terminal: Terminal) -> None:
        file_id = terminal.put()
        terminal.run("show", code=2)
        terminal.run("show", file_id, "--path", "a/b", "--owner", "alice", code=2)
        terminal.run("show", "--path", "a/b", code=2)

    def test_a_file_of_someone_else_is_not_found(self, terminal: Terminal) -> None:
        file_id = terminal.put()
        terminal.run("show", file_id, "--owner", "bob", code=3)
        terminal.run("show", "nothing", code=3)


class TestGet:
    def test_the_file_comes_under_its_own_name(self, terminal: Terminal) -> None:
        file_id = terminal.put("--filename", "Kapitel é.wav")
        assert terminal.run("get", file_id, "--owner", "alice").stdout == "Kapitel é.wav  1.0 KB\n"
        assert (terminal.folder / "Kapitel é.wav").read_bytes() == WAV

    def test_json_tells_where_it_is(self, terminal: Terminal) -> None:
        (terminal.folder / "there").mkdir()
        answer = terminal.json("get", terminal.put(), "--owner", "alice", "-o", "there")
        assert (answer["path"], answer["size"]) == ("there/take.wav", len(WAV))

    def test_nothing_is_overwritten_without_force(self, terminal: Terminal) -> None:
        file_id, target = terminal.put(), terminal.folder / "mine.wav"
        target.write_bytes(b"mine")
        said = terminal.run("get", file_id, "--owner", "alice", "-o", target, code=4).stderr
        assert "--force" in said
        assert target.read_bytes() == b"mine"
        terminal.run("get", file_id, "--owner", "alice", "-o", target, "--force")
        assert target.read_bytes() == WAV

    def test_a_dangling_symlink_is_not_followed(self, terminal: Terminal) -> None:
        file_id = terminal.put()
        (terminal.folder / "link.wav").symlink_to(terminal.folder / "elsewhere.wav")
        terminal.run("get", file_id, "--owner", "alice", "-o", "link.wav", code=4)
        assert not (terminal.folder / "elsewhere.wav").exists()

    def test_standard_output_gets_the_bytes_and_nothing_else(self, terminal: Terminal) -> None:
        assert terminal.run("get", terminal.put(), "--owner", "alice", "-o", "-").stdout_bytes == WAV

    def test_damaged_bytes_are_a_finding_and_leave_no_file(self, terminal: Terminal) -> None:
        file_id = terminal.put()
        (terminal.root / terminal.files()[0]["key"]).write_bytes(b"X" * len(WAV))
        told = terminal.error("get", file_id, "--owner", "alice", "-o", "bad.wav", code=6)
        assert told["error"] == "ChecksumMismatch"
        terminal.run("get", file_id, "--owner", "alice", "-o", "-", code=6)
        assert not (terminal.folder / "bad.wav").exists()
        assert [each.name for each in terminal.folder.glob(".*")] == []

    def test_mistakes(self, terminal: Terminal) -> None:
        file_id = terminal.put()
        terminal.run("get", file_id, "--owner", "bob", code=3)
        terminal.run("get", "nothing", "--owner", "alice", code=3)
        terminal.run("get", file_id, "--owner", "alice", "-o", "no/such/folder.wav", code=2)
        terminal.run("get", file_id, "--owner", "alice", "-o", "-", "--json", code=2)

    @pytest.mark.parametrize(
        ("filename", "saved"),
        [
            ("../../etc/cron.d/x", "_._.._etc_cron.d_x"),
            ("..", "_."),
            (".bashrc", "_bashrc"),
            ("-rf", "_rf"),
            ("a\x1b[2J\nb.wav", "a_[2J_b.wav"),
            ("c:\\x\\y.wav", "c:_x_y.wav"),
            ("é" * 300 + ".wav", "é" * 125 + ".wav"),
            ("Глава 1.mp3", "Глава 1.mp3"),
        ],
    )
    def test_a_name_becomes_one_that_is_safe_here(self, filename: str, saved: str) -> None:
        assert as_file_name(filename) == saved


class TestUrl:
    def test_the_link_plays_the_file(self, terminal: Terminal) -> None:
        link = terminal.run("url", terminal.put(), "--owner", "alice").stdout.strip()
        with AudioStore.local(terminal.root) as store, serve(store, link.removeprefix("/audio/")) as reply:
            assert (reply.status, b"".join(reply.body)) == (200, WAV)

    def test_it_expires_when_it_was_told_to(self, terminal: Terminal) -> None:
        answer = terminal.json(
            "url", terminal.put(), "--owner", "alice", "--expires", "10m", "--download-as", "Mein Buch.wav"
        )
        until = datetime.fromisoformat(answer["expires_at"])
        assert timedelta(0) < until - datetime.now(UTC) <= timedelta(minutes=10)
        with AudioStore.local(terminal.root) as store, serve(store, answer["url"].removeprefix("/audio/")) as reply:
            assert "Mein Buch.wav" in reply.headers["Content-Disposition"]

    @pytest.mark.parametrize("expires", ["10", "0m", "soon", "-1h", "1.5h", "", "999999999w"])
    def test_what_is_no_lifetime_is_refused(self, terminal: Terminal, expires: str) -> None:
        terminal.run("url", terminal.put(), "--owner", "alice", f"--expires={expires}", code=2)

    def test_nobody_signs_what_is_not_theirs(self, terminal: Terminal) -> None:
        assert terminal.run("url", terminal.put(), "--owner", "bob", code=3).stdout == ""

    @pytest.mark.parametrize(
        ("written", "meant"),
        [("90s", timedelta(seconds=90)), ("1h30m", timedelta(minutes=90)), ("2W", timedelta(weeks=2))],
    )
    def test_durations(self, written: str, meant: timedelta) -> None:
        assert parse_duration(written) == meant


class TestRm:
    def test_files_go_by_id(self, terminal: Terminal) -> None:
        first, second, third = terminal.put(), terminal.put(), terminal.put()
        assert terminal.run("rm", first, second, "--owner", "alice").stdout == "deleted 2 files\n"
        assert [each["id"] for each in terminal.files()] == [third]

    def test_a_missing_one_does_not_save_the_others(self, terminal: Terminal) -> None:
        file_id = terminal.put()
        result = terminal.run("rm", "nothing", file_id, "--owner", "alice", code=3)
        assert (result.stdout, result.stderr) == ("deleted 1 file\n", "audiostore: not found: file nothing\n")
        assert terminal.files() == []

    def test_json_tells_both(self, terminal: Terminal) -> None:
        file_id = terminal.put()
        answer = terminal.json("rm", "nothing", file_id, "--owner", "alice", code=3)
        assert answer == {"deleted": 1, "missing": ["nothing"]}

    def test_files_of_someone_else_stay(self, terminal: Terminal) -> None:
        file_id = terminal.put()
        terminal.run("rm", file_id, "--owner", "bob", code=3)
        terminal.run("rm", "--all", "--yes", "--owner", "bob")
        assert len(terminal.files()) == 1

    def test_a_project_goes_as_a_whole(self, terminal: Terminal) -> None:
        terminal.put("--project", "p1")
        terminal.put("--project", "p1", "--chapter", "2")
        kept = terminal.put("--project", "p2")
        assert terminal.json("rm", "--owner", "alice", "--project", "p1", "--yes")["deleted"] == 2
        assert [each["id"] for each in terminal.files()] == [kept]

    def test_everything_goes(self, terminal: Terminal) -> None:
        terminal.put("--project", "p1")
        terminal.put()
        assert terminal.run("rm", "--owner", "alice", "--all", "--yes").stdout == "deleted 2 files\n"
        assert terminal.json("usage", "alice")["used"] == 0

    def test_without_anyone_to_ask_nothing_goes(self, terminal: Terminal) -> None:
        terminal.put()
        assert "--yes" in terminal.run("rm", "--owner", "alice", "--all", code=2).stderr
        terminal.run("rm", "--owner", "alice", "--all", "--json", code=2)
        assert len(terminal.files()) == 1

    @pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", 0, 0), (b"n\n", 0, 1), (b"", 130, 1)])
    def test_who_is_asked_decides(
        self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, answer: bytes, code: int, left: int
    ) -> None:
        if OLD_RUNNER and not answer:
            pytest.skip("this click's runner has no end of input")
        terminal.put()
        monkeypatch.setattr("audiostore.cli.asking.someone_is_there", lambda: True)
        terminal.run("rm", "--owner", "alice", "--all", typed=answer, code=code)
        assert len(terminal.files()) == left

    @pytest.mark.parametrize("words", [[], ["x", "--all"], ["--all", "--project", "p"], ["x", "--project", "p"]])
    def test_it_is_ids_or_a_project_or_all(self, terminal: Terminal, words: list[str]) -> None:
        terminal.put()
        terminal.run("rm", "--owner", "alice", "--yes", *words, code=2)
        assert len(terminal.files()) == 1
