"""doctor on a Supabase project: each thing that is commonly wrong is a line, and says how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audiostore.testing.supabase import FakeSupabase
from audiostore.transport import Timeouts
from tests.cli.cloud import BUCKET, Cloud
from tests.cli.terminal import Terminal

MB = 2**20
EARLY = ["settings", "server", "server clock", "service key", "public key", "bucket", "bucket limits", "row security"]
LATE = ["catalog", "schema", "direct uploads", "new files", "fallback"]


@pytest.fixture
def sound(cloud: Cloud) -> Cloud:
    cloud.run("bucket", "ensure", "--yes")
    return cloud


def test_a_sound_project_is_ok_throughout_and_left_clean(sound: Cloud) -> None:
    checks = sound.doctor()
    assert list(checks)[:13] == EARLY + LATE
    assert list(checks)[-1] == "round trip"
    assert all(each["ok"] for each in checks.values())
    assert {line.split()[0] for line in sound.run("doctor").stdout.splitlines()} == {"ok"}
    assert sound.fake.keys(BUCKET) == []
    assert sound.json("audit")["ok"]


def test_what_it_says_of_keys_and_places(sound: Cloud) -> None:
    checks = sound.doctor()
    assert checks["service key"]["detail"].startswith("role service_role, good until 20")
    assert checks["public key"]["detail"].startswith("role anon, good until 20")
    assert checks["new files"]["detail"] == "go to supabase; those on local can be read"
    assert checks["catalog"]["detail"] == "in Postgres, over the REST API of 127.0.0.1"
    assert checks["schema"]["detail"] == "version 21, the newest"
    assert checks["direct uploads"]["detail"].startswith("level 0 or 1: policies can't be seen over the REST API")
    assert checks["fallback"]["detail"].startswith("none: while supabase is away, new files are refused")


def test_the_plan_is_the_databases_over_the_rest_api_too(sound: Cloud) -> None:
    sound.env["FREE_USER_QUOTA_MB"] = "7"
    sound.run("quota", "set", "alice", "--total", "2 GB")
    lines = sound.run("quota", "show", "alice").stdout.splitlines()
    assert lines[1].split() == ["total", "2.0", "GB", "own", "(plan:", "500.0", "MB)"]


def test_where_new_files_stay_on_the_disk_the_project_is_looked_at_too(sound: Cloud) -> None:
    sound.env["STORAGE_BACKEND"] = "local"
    checks = sound.doctor()
    assert checks["new files"]["detail"] == "go to local; those on supabase can be read"
    assert checks["row security"]["ok"]


# --- settings and keys ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SUPABASE_URL", "", "needs SUPABASE_URL"),
        ("SUPABASE_SERVICE_KEY", "", "needs SUPABASE_SERVICE_KEY"),
        ("SUPABASE_URL", "abc.supabase.co", "no http(s) URL"),
        ("SUPABASE_URL", "https://supabase.com/dashboard/project/abc", "page of the dashboard"),
        ("SUPABASE_URL", "https://abc.supabase.co/rest/v1", "-> https://abc.supabase.co"),
        ("SUPABASE_URL", "http://abc.supabase.co", "is not https"),
    ],
)
def test_settings_that_are_missing_or_malformed(cloud: Cloud, name: str, value: str, told: str) -> None:
    cloud.env[name] = value
    assert told in cloud.wrong()["settings"]
    assert cloud.fake.requests == [], "nothing to ask anyone yet"


def test_half_a_project_is_one_mistake(cloud: Cloud) -> None:
    cloud.env |= {"STORAGE_BACKEND": "local", "SUPABASE_SERVICE_KEY": ""}
    assert "SUPABASE_URL is set without SUPABASE_SERVICE_KEY" in cloud.wrong()["settings"]


def test_keys_in_each_others_places(sound: Cloud) -> None:
    keys = {"SUPABASE_SERVICE_KEY": sound.fake.anon_key, "SUPABASE_ANON_KEY": sound.fake.service_key}
    sound.env |= keys
    assert "SUPABASE_SERVICE_KEY is the public key" in sound.wrong()["service key"]
    sound.env["SUPABASE_SERVICE_KEY"] = sound.fake.service_key
    wrong = sound.wrong()
    assert list(wrong) == ["public key"]
    assert "is the service key" in wrong["public key"]
    assert "if it ever reached a browser, make a new one" in wrong["public key"]


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("sb_publishable_abc", "is the public key"),
        ("sbp_0123456789", "no key of Supabase's"),
        ("a key with spaces", "no key of Supabase's"),
    ],
)
def test_other_kinds_of_keys(sound: Cloud, key: str, told: str) -> None:
    sound.env["SUPABASE_SERVICE_KEY"] = f"'{key}'"
    assert told in sound.wrong()["service key"]


def test_a_users_token_is_no_service_key(sound: Cloud) -> None:
    sound.env["SUPABASE_SERVICE_KEY"] = sound.fake.user_token("alice")
    assert "is a user's token" in sound.wrong()["service key"]


def test_an_expired_key_is_told_as_expired_not_as_a_missing_bucket(sound: Cloud) -> None:
    over = sound.fake.user_token("x", role="service_role", expires_in=timedelta(hours=-1))
    sound.env["SUPABASE_SERVICE_KEY"] = over
    wrong = sound.wrong()
    assert list(wrong) == ["service key"]
    assert "SUPABASE_SERVICE_KEY has expired, on 20" in wrong["service key"]


def test_a_key_that_ends_soon_is_told_in_time(sound: Cloud) -> None:
    soon = sound.fake.user_token("x", role="service_role", expires_in=timedelta(days=3))
    sound.env["SUPABASE_SERVICE_KEY"] = soon
    assert "expires soon" in sound.wrong()["service key"]


def test_a_key_of_another_project_is_refused_by_the_server_and_told(sound: Cloud) -> None:
    sound.env["SUPABASE_SERVICE_KEY"] = FakeSupabase().service_key
    wrong = sound.wrong()
    assert list(wrong) == ["service key"]
    assert "signature verification failed" in wrong["service key"]


def test_a_key_of_another_project_is_seen_before_it_is_sent(cloud: Cloud) -> None:
    other = cloud.fake.user_token("x", role="service_role", claims={"ref": "theirs"})
    cloud.env |= {"SUPABASE_URL": "https://mine.supabase.co", "SUPABASE_SERVICE_KEY": other}
    with FakeSupabase(url="https://mine.supabase.co", others="refuse"):
        wrong = cloud.wrong()
    assert "is of project theirs, SUPABASE_URL of mine" in wrong["service key"]


# --- server, bucket, policies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "told"), [(300, "300 s behind"), (-7200, "7200 s ahead of")])
def test_a_clock_that_is_off(sound: Cloud, by: int, told: str) -> None:
    sound.fake.now = datetime.now(UTC) + timedelta(seconds=by)
    detail = sound.wrong()["server clock"]
    seconds = int(detail.split(" is ")[1].split(" s ")[0])
    assert abs(seconds - abs(by)) < 30
    assert told.split(" s ")[1] in detail


def test_a_missing_bucket_is_made_with_fix(cloud: Cloud) -> None:
    assert list(cloud.wrong()) == ["bucket"]
    assert "POST /bucket" not in cloud.changes()
    ran = cloud.run("doctor", "--fix", code=2)
    assert ran.stderr.startswith("will make bucket 'audio-files', private and for audio")
    assert "POST /bucket" not in cloud.changes(), "nobody said yes"
    told = cloud.json("doctor", "--fix", "--yes")
    assert (told["ok"], told["fixed"]) == (True, ["make bucket 'audio-files', private and for audio"])
    assert cloud.row()[:2] == (False, 50 * MB)


def test_a_public_bucket_is_made_private_with_fix_and_nothing_else_of_it_changes(cloud: Cloud) -> None:
    cloud.fake.create_bucket(BUCKET, public=True, file_size_limit=60 * MB)
    assert "without a link" in cloud.wrong()["bucket"]
    assert cloud.row()[0] is True
    assert cloud.json("doctor", "--fix", "--yes")["fixed"] == ["make bucket 'audio-files' private"]
    assert cloud.row() == (False, 60 * MB, None)


def test_what_is_sound_needs_no_fixing(sound: Cloud) -> None:
    before = sound.row()
    assert sound.json("doctor", "--fix", "--yes")["fixed"] == []
    assert sound.row() == before
    sound.run("doctor", "--yes", code=2)


def test_a_repair_that_fails_is_told(cloud: Cloud) -> None:
    cloud.fake.fail_next("POST /bucket", status=403, error="no")
    ran = cloud.run("doctor", "--fix", "--yes", code=6)
    assert "can't make bucket" in ran.stderr
    assert "does not exist" in ran.stdout


def test_limits_below_the_settings(cloud: Cloud) -> None:
    cloud.fake.create_bucket(BUCKET, file_size_limit=5 * MB)
    told = cloud.wrong()["bucket limits"]
    assert "files up to 5.0 MB, MAX_FILE_SIZE_MB allows 50.0 MB" in told


def test_a_projects_limit_below_the_settings(cloud: Cloud) -> None:
    cloud.fake.create_bucket(BUCKET)
    cloud.env["MAX_FILE_SIZE_MB"] = "700"
    assert "the project takes files up to 600.0 MB" in cloud.wrong()["bucket limits"]


def test_types_that_shut_audio_out(cloud: Cloud) -> None:
    cloud.fake.create_bucket(BUCKET, allowed_mime_types=["audio/mpeg", "image/*"])
    assert "it only takes audio/mpeg, image/*" in cloud.wrong()["bucket limits"]


@pytest.mark.parametrize(
    ("operations", "told"),
    [
        (("select",), "can list and read"),
        (("insert",), "can write"),
        (("select", "delete"), "can list and read and delete"),
    ],
)
def test_policies_that_let_anyone_in_are_found_and_what_was_tried_is_gone(
    sound: Cloud, operations: tuple[Any, ...], told: str
) -> None:
    for each in operations:
        sound.fake.allow(each, lambda actor, bucket, name: True)
    wrong = sound.wrong()
    assert list(wrong) == ["row security"]
    assert told in wrong["row security"]
    assert sound.fake.keys(BUCKET) == []


def test_without_the_public_key_it_says_what_it_could_not_try(sound: Cloud) -> None:
    sound.env["SUPABASE_ANON_KEY"] = ""
    assert "SUPABASE_ANON_KEY is needed" in sound.doctor()["row security"]["detail"]


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_down_leaves_the_looks_at_this_machine(sound: Cloud) -> None:
    sound.env["SUPABASE_URL"] = "http://127.0.0.1:9"
    checks = sound.doctor(code=6)
    assert [name for name, each in checks.items() if not each["ok"]] == ["server"]
    assert checks["folder"]["ok"]
    assert "round trip" not in checks, "it would tell the same again"


def test_a_server_that_is_slow_is_told_in_time(sound: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    brief = Timeouts(read=timedelta(seconds=0.1), total=timedelta(seconds=1), tries=2, pause=timedelta(0))
    monkeypatch.setattr("audiostore.cli.project.BRIEF", brief)
    sound.fake.fail_next(latency=timedelta(seconds=0.5), times=9)
    assert "no answer in time" in sound.wrong()["server"]


def test_a_gateway_that_lets_no_preflight_through_is_no_finding(sound: Cloud) -> None:
    sound.fake.fail_next("OPTIONS /upload/resumable", status=403, times=99)
    checks = sound.doctor()
    assert (checks["server"]["detail"], checks["bucket limits"]["ok"]) == ("answers", True)


def test_a_server_that_is_no_supabase_is_told(sound: Cloud) -> None:
    sound.env["SUPABASE_URL"] += "/storage/v1"
    assert sound.doctor()["server"]["ok"], "that is how clients write it, too"
    sound.fake.fail_next("GET /bucket", status=404, error="<html>no such page", times=9)
    assert "is no Supabase Storage -> look at SUPABASE_URL" in sound.wrong()["service key"]


FAULTS: dict[str, Callable[[FakeSupabase], None]] = {
    "every answer is a 503": lambda fake: fake.fail_next(status=503, times=99),
    "every answer is lost": lambda fake: fake.fail_next(lose_response=True, times=99),
    "buckets are broken": lambda fake: fake.fail_next("GET /bucket/*", malformed=True, times=99),
    "nothing can be written": lambda fake: fake.fail_next("POST /object/audio-files/*", status=403, times=99),
    "nothing can be read": lambda fake: fake.fail_next("GET /object/audio-files/*", status=403, times=99),
    "nothing can be signed": lambda fake: fake.fail_next("POST /object/sign/*", status=403, times=99),
    "nothing can be listed": lambda fake: fake.fail_next("POST /object/list-v2/*", status=403, times=99),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_fails_it_is_a_line_and_nothing_is_left_behind(sound: Cloud, fault: str) -> None:
    FAULTS[fault](sound.fake)
    wrong = sound.wrong()
    assert wrong
    assert sound.fake.keys(BUCKET) == []


def test_a_removal_that_fails_is_made_up_for_by_a_sweep(sound: Cloud) -> None:
    sound.fake.fail_next("DELETE /object/*", status=403, times=2)
    assert sound.wrong()
    sound.fake._faults.clear()
    sound.run("sweep")
    assert [key for key in sound.fake.keys(BUCKET) if not key.startswith("audiostore-doctor/")] == []


def test_the_leftovers_of_one_that_was_killed_go_after_an_hour(sound: Cloud) -> None:
    sound.fake.now = datetime.now(UTC) - timedelta(hours=2)
    sound.fake.fail_next("DELETE /object/*", status=403, times=9)
    sound.doctor(code=6)
    assert sound.fake.keys(BUCKET)
    sound.fake.now = datetime.now(UTC)
    sound.fake._faults.clear()
    sound.doctor()
    assert [key for key in sound.fake.keys(BUCKET) if key.startswith("audiostore-doctor/")] == []


def test_on_a_disk_alone_nothing_is_said_of_supabase(terminal: Terminal) -> None:
    checks = {each["name"]: each["detail"] for each in terminal.json("doctor")["checks"]}
    assert checks["catalog"] == f"in SQLite on this machine: {terminal.root / '.audiostore' / 'catalog.sqlite3'}"
    assert not checks.keys() & {*EARLY, "new files", "fallback", "direct uploads"}
