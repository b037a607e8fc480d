"""bucket show and bucket ensure: an operator makes the bucket, and hears how one that is there differs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from audiostore.backends.supabase.bucket import AUDIO_TYPES
from tests.cli.cloud import BUCKET, Cloud
from tests.cli.terminal import Terminal

MB = 2**20
AUDIO = list(AUDIO_TYPES)


class TestEnsure:
    def test_a_missing_bucket_is_told_first_and_made_private_and_for_audio(self, cloud: Cloud) -> None:
        ran = cloud.run("bucket", "ensure", "--yes")
        assert ran.stderr.splitlines()[0] == "will make bucket audio-files:"
        assert "audio/*, video/mp4, video/webm, application/ogg, application/octet-stream" in ran.stderr
        assert ran.stdout.startswith("bucket audio-files is made: private, files up to 50.0 MB")
        assert cloud.row() == (False, 50 * MB, AUDIO)

    def test_without_an_answer_nothing_is_made(self, cloud: Cloud) -> None:
        ran = cloud.run("bucket", "ensure", code=2)
        assert ran.stderr.splitlines()[0] == "will make bucket audio-files:"
        assert "add --yes" in ran.stderr
        assert "POST /bucket" not in cloud.changes()

    @pytest.mark.parametrize(("typed", "made"), [(b"y\n", True), (b"n\n", False)])
    def test_a_person_is_asked(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, typed: bytes, *, made: bool
    ) -> None:
        monkeypatch.setattr("audiostore.cli.asking.someone_is_there", lambda: True)
        ran = cloud.run("bucket", "ensure", typed=typed)
        assert ("POST /bucket" in cloud.changes()) is made
        assert ("nothing is changed" in ran.stderr) is not made

    def test_the_second_time_all_is_well_and_nothing_is_asked(self, cloud: Cloud) -> None:
        cloud.run("bucket", "ensure", "--yes")
        before = cloud.changes()
        told = cloud.json("bucket", "ensure")
        assert (told["ok"], told["existed"], told["created"], told["differences"]) == (True, True, False, {})
        assert cloud.changes() == before

    def test_a_bucket_that_takes_more_is_told_and_no_mistake(self, cloud: Cloud) -> None:
        cloud.fake.create_bucket(BUCKET)
        ran = cloud.run("bucket", "ensure", "--yes")
        assert "differs, without harm" in ran.stdout
        assert "is without limit  asked for: 50.0 MB" in ran.stdout
        assert cloud.row() == (False, None, None)

    @pytest.mark.parametrize(
        ("differs", "values"),
        [
            ("public", {"public": True, "file_size_limit": 50 * MB, "allowed_mime_types": AUDIO}),
            ("file_size_limit", {"file_size_limit": 5 * MB, "allowed_mime_types": AUDIO}),
            ("allowed_mime_types", {"file_size_limit": 50 * MB, "allowed_mime_types": ["audio/mpeg"]}),
        ],
    )
    def test_a_bucket_that_does_harm_is_changed_only_with_fix(
        self, cloud: Cloud, differs: str, values: dict[str, object]
    ) -> None:
        cloud.fake.create_bucket(BUCKET, **values)  # type: ignore[arg-type]
        before = cloud.row()
        told = cloud.json("bucket", "ensure", "--yes", code=6)
        assert (told["ok"], list(told["differences"])) == (False, [differs])
        assert cloud.row() == before
        assert cloud.run("bucket", "ensure", "--fix", code=2).stderr.startswith("will change bucket audio-files:")
        assert cloud.row() == before, "nobody said yes"
        fixed = cloud.json("bucket", "ensure", "--fix", "--yes")
        assert (fixed["ok"], list(fixed["changed"]), fixed["differences"]) == (True, [differs], {})
        assert cloud.row() == (False, 50 * MB, AUDIO)

    def test_limit_and_types_can_be_given(self, cloud: Cloud) -> None:
        cloud.run("bucket", "ensure", "--yes", "--max-file-size", "unlimited", "--type", "audio/mpeg")
        assert cloud.row() == (False, None, ["audio/mpeg"])

    def test_the_limit_is_the_settings_one(self, cloud: Cloud) -> None:
        cloud.env["MAX_FILE_SIZE_MB"] = "7"
        cloud.run("bucket", "ensure", "--yes")
        assert cloud.row()[1] == 7 * MB

    def test_a_limit_over_the_projects_own_is_told_as_that(self, cloud: Cloud) -> None:
        told = cloud.error("bucket", "ensure", "--yes", "--max-file-size", "10 GB", code=2)
        assert "over the limit of the whole project" in told["message"]

    def test_an_answer_that_was_lost_is_looked_for(self, cloud: Cloud) -> None:
        cloud.fake.fail_next("POST /bucket", lose_response=True)
        assert cloud.json("bucket", "ensure", "--yes")["ok"]
        assert cloud.row()[0] is False


class TestShow:
    def test_it_changes_nothing(self, cloud: Cloud) -> None:
        assert "audiostore bucket ensure makes it" in cloud.error("bucket", "show", code=3)["message"]
        cloud.fake.create_bucket(BUCKET, public=True)
        assert "fix  public        is yes            asked for: no" in cloud.run("bucket", "show", code=6).stdout
        assert cloud.row() == (True, None, None)
        assert not {"POST /bucket", f"PUT /bucket/{BUCKET}"} & set(cloud.changes())


class TestWithoutAccess:
    def test_without_a_project_it_says_which_settings(self, terminal: Terminal) -> None:
        assert "SUPABASE_URL" in terminal.error("bucket", "show", code=2)["message"]
        terminal.run("bucket", "show", "--root", "store", code=2)

    def test_the_public_key_is_refused_and_nothing_is_made(self, cloud: Cloud) -> None:
        cloud.fake.create_bucket(BUCKET)
        cloud.env["SUPABASE_SERVICE_KEY"] = cloud.fake.anon_key
        told = cloud.error("bucket", "ensure", "--yes", code=4)
        assert "service key" in told["message"]

    def test_an_expired_key_is_told_as_expired(self, cloud: Cloud) -> None:
        cloud.env["SUPABASE_SERVICE_KEY"] = cloud.fake.user_token(
            "x", role="service_role", expires_in=timedelta(hours=-1)
        )
        told = cloud.error("bucket", "show", code=4)
        assert "expired" in told["message"]

    @pytest.mark.parametrize("fault", [{"status": 503}, {"malformed": True}, {"lose_response": True}])
    def test_a_server_that_fails_is_unavailable(self, cloud: Cloud, fault: dict[str, object]) -> None:
        cloud.fake.create_bucket(BUCKET)
        cloud.fake.fail_next(times=20, **fault)  # type: ignore[arg-type]
        assert cloud.error("bucket", "show", code=5)["error"] == "Unavailable"

    def test_no_key_is_ever_printed(self, cloud: Cloud) -> None:
        cloud.fake.fail_next(status=400, error=f"no: {cloud.fake.service_key}")
        refused = cloud.run("bucket", "show", code=4)
        assert "<token>" in refused.stderr
        printed = refused.output + cloud.run("bucket", "ensure", "--yes").output + cloud.run("doctor").output
        assert [key for key in (cloud.fake.service_key, cloud.fake.anon_key) if key in printed] == []
