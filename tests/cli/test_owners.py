"""usage and quota: how full an owner is, and how full they may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from audiostore.cli.parsing import parse_moment
from tests.cli.terminal import WAV, Terminal


class TestUsage:
    def test_people_see_a_bar_and_sizes(self, terminal: Terminal) -> None:
        terminal.put()
        terminal.run("quota", "set", "alice", "--total", "2080")
        title, used, *_, available = terminal.run("usage", "alice").stdout.splitlines()
        assert title == "alice  ████████████░░░░░░░░░░░░  50.0 %"
        assert used.split() == ["used", "1.0", "KB", "in", "1", "file"]
        assert available.split() == ["available", "1.0", "KB"]

    def test_each_project_is_told_the_largest_first(self, terminal: Terminal) -> None:
        terminal.put()
        for _ in range(2):
            terminal.put("--project", "p1")
        terminal.run("quota", "set", "alice", "--total", "10400")
        assert [line.split() for line in terminal.run("usage", "alice", "--projects").stdout.splitlines()[-2:]] == [
            ["p1", "2.0", "KB", "20.0", "%", "in", "2", "files"],
            ["(no", "project)", "1.0", "KB", "10.0", "%", "in", "1", "file"],
        ]
        assert terminal.json("usage", "alice", "--projects")["projects"] == [
            {"project": None, "used": len(WAV), "files": 1},
            {"project": "p1", "used": 2 * len(WAV), "files": 2},
        ]
        assert "projects" not in terminal.json("usage", "alice")

    def test_json_has_bytes(self, terminal: Terminal) -> None:
        terminal.put()
        told = terminal.json("usage", "alice")
        assert (told["used"], told["files"], told["quota"]) == (len(WAV), 1, 500 * 1024**2)
        assert told["limits"]["per_file"] == 50 * 1024**2

    def test_without_a_quota_there_is_no_bar(self, terminal: Terminal) -> None:
        terminal.put()
        terminal.run("quota", "set", "alice", "--total", "unlimited")
        assert terminal.run("usage", "alice").stdout.splitlines()[0] == "alice  unlimited"
        assert terminal.json("usage", "alice")["percent"] is None

    def test_an_owner_over_a_lowered_quota_fits_on_the_screen(self, terminal: Terminal) -> None:
        terminal.put()
        terminal.run("quota", "set", "alice", "--total", "104")
        assert terminal.run("usage", "alice").stdout.splitlines()[0] == f"alice  {'█' * 24}  1000.0 %"

    def test_an_owner_has_a_name(self, terminal: Terminal) -> None:
        terminal.put()
        terminal.run("usage", "", code=2)
        terminal.run("usage", code=2)


class TestQuota:
    def test_what_is_set_is_in_force(self, terminal: Terminal) -> None:
        terminal.run("quota", "set", "alice", "--total", "1 KB")
        told = terminal.error("put", terminal.take, "--owner", "alice", code=4)
        assert (told["error"], told["kind"], told["limit"]) == ("QuotaExceeded", "bytes", 1024)
        said = terminal.run("put", terminal.take, "--owner", "alice", code=4).stderr
        assert "quota of 1.0 KB exceeded for owner 'alice': 0 B used" in said

    def test_each_number_can_be_set(self, terminal: Terminal) -> None:
        terminal.run("quota", "set", "alice", "--per-file", "100")
        told = terminal.error("put", terminal.take, "--owner", "alice", code=4)
        assert (told["error"], told["limit"]) == ("FileTooLarge", 100)
        terminal.run("quota", "set", "alice", "--files", "1")
        terminal.put()
        told = terminal.error("put", terminal.take, "--owner", "alice", code=4)
        assert (told["error"], told["kind"]) == ("QuotaExceeded", "files")

    def test_setting_again_replaces_what_was_set(self, terminal: Terminal) -> None:
        terminal.run("quota", "set", "alice", "--total", "1 KB")
        told = terminal.json("quota", "set", "alice", "--files", "7")
        assert told["override"] == {"files": 7, "until": None}
        assert told["limits"]["total"] == 500 * 1024**2

    def test_show_tells_where_a_number_comes_from(self, terminal: Terminal) -> None:
        terminal.run("quota", "set", "alice", "--total", "2 GB", "--until", "7d")
        owner, total, per_file, files = terminal.run("quota", "show", "alice").stdout.splitlines()
        assert owner == "alice"
        assert total.split()[:5] == ["total", "2.0", "GB", "own,", "until"]
        assert total.endswith("(plan: 500.0 MB)")
        assert per_file.split() == ["per", "file", "50.0", "MB", "plan"]
        assert files.split() == ["files", "unlimited", "plan"]

    def test_for_a_while_is_for_a_while(self, terminal: Terminal) -> None:
        told = terminal.json("quota", "set", "alice", "--total", "unlimited", "--until", "7d")
        until = datetime.fromisoformat(told["override"]["until"])
        assert timedelta(days=6) < until - datetime.now(UTC) <= timedelta(days=7)
        assert told["override"]["total"] is None

    def test_clear_brings_the_plan_back(self, terminal: Terminal) -> None:
        terminal.run("quota", "set", "alice", "--total", "1 KB")
        told = terminal.json("quota", "clear", "alice")
        assert (told["override"], told["limits"]) == (None, told["policy"])
        terminal.put()

    @pytest.mark.parametrize(
        "words",
        [
            [],
            ["--total", "much"],
            ["--total", "-1"],
            ["--files", "1.5"],
            ["--files", "-1"],
            ["--total", "1 KB", "--until", "yesterday"],
            ["--total", "1 KB", "--until", "2020-01-01"],
            ["--total", "1 KB", "--until", "0s"],
        ],
    )
    def test_wrong_numbers_set_nothing(self, terminal: Terminal, words: list[str]) -> None:
        terminal.run("quota", "set", "alice", "--files", "7")
        terminal.run("quota", "set", "alice", *words, code=2)
        assert terminal.json("quota", "show", "alice")["override"] == {"files": 7, "until": None}

    def test_a_moment_without_a_zone_is_local_time(self) -> None:
        assert parse_moment("2199-01-31T18:00") == datetime(2199, 1, 31, 18).astimezone()
        assert parse_moment("2199-01-31T18:00+02:00") == datetime(2199, 1, 31, 16, tzinfo=UTC)
