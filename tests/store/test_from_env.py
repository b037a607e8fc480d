from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from audiostore import AudioStore, ConfigurationError, PermissionDenied, serve
from audiostore.quota import CatalogQuota, TieredQuota
from audiostore.settings import VARIABLES, Settings

SECRET = "a secret of the tests which is long enough"


def environment(tmp_path: Path, **variables: str) -> dict[str, str]:
    return {"UPLOAD_FOLDER": str(tmp_path / "uploads"), **variables}


def test_an_empty_environment_is_a_working_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with AudioStore.from_env({}) as store:
        file = store.put(b"take", owner="alice")
        assert store.usage("alice").quota == 500 * 2**20
        assert store.usage("alice").limits.per_file == 50 * 2**20
        assert store.url(file).startswith("/audio/")
    assert (tmp_path / "uploads").is_dir()


def test_the_environment_of_the_process_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOAD_FOLDER", str(tmp_path / "here"))
    monkeypatch.setenv("FREE_USER_QUOTA_MB", "7")
    with AudioStore.from_env() as store:
        assert store.usage("alice").quota == 7 * 2**20
    assert (tmp_path / "here").is_dir()


def test_the_seeds_variables_mean_what_they_say(tmp_path: Path) -> None:
    env = environment(
        tmp_path,
        STORAGE_BACKEND="local",
        EXPORT_FOLDER="out",
        MAX_UPLOAD_SIZE="100mb",
        MAX_FILE_SIZE_MB="60",
        FREE_USER_QUOTA_MB="1.5",
        PAID_USER_QUOTA_MB="unlimited",
        SUPABASE_URL="https://x.supabase.co",
        SUPABASE_ANON_KEY="anon",
        SUPABASE_SERVICE_KEY="service",
        SUPABASE_BUCKET="takes",
        DATABASE_URL="postgresql://localhost/app",
        AUDIOSTORE_SECRET=f"{SECRET}, {SECRET} 2",
        AUDIOSTORE_BASE_URL="https://example.org/audio/",
    )
    settings = Settings.from_env(env)
    assert settings.export_folder == Path("out")
    assert (settings.max_file_size, settings.free_quota, settings.paid_quota) == (60 * 2**20, 1536 * 2**10, None)
    assert (settings.supabase_bucket, settings.secret) == ("takes", (SECRET, f"{SECRET} 2"))
    alone = {name: value for name, value in env.items() if not name.startswith(("SUPABASE", "DATABASE"))}
    with AudioStore.from_env(alone, tier_of=lambda owner: owner) as store:
        assert store.usage("paid").quota is None
        assert store.usage("free").quota == 1536 * 2**10
        link = store.url(store.put(b"x", owner="free"))
        assert link.startswith("https://example.org/audio/v1.")


def test_every_variable_that_is_read_is_in_the_table(tmp_path: Path) -> None:
    asked: set[str] = set()

    class Recording(Mapping[str, str]):
        def __getitem__(self, name: str) -> str:
            asked.add(name)
            return environment(tmp_path)[name]

        def __iter__(self) -> Iterator[str]:
            return iter(environment(tmp_path))

        def __len__(self) -> int:
            return len(environment(tmp_path))

    Settings.from_env(Recording())
    assert asked == {variable.name for variable in VARIABLES}


def test_secrets_are_not_in_the_repr(tmp_path: Path) -> None:
    secrets = {variable.name: f"hidden-{variable.name}-value" for variable in VARIABLES if variable.secret}
    shown = repr(Settings.from_env(environment(tmp_path, **secrets)))
    assert "hidden" not in shown


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"STORAGE_BACKEND": "s3"}, "STORAGE_BACKEND"),
        ({"STORAGE_FALLBACK": "memory"}, "STORAGE_FALLBACK"),
        ({"STORAGE_BACKEND": "supabase"}, "SUPABASE_URL and SUPABASE_SERVICE_KEY"),
        ({"STORAGE_BACKEND": "supabase", "SUPABASE_URL": "https://x.supabase.co"}, "SUPABASE_SERVICE_KEY"),
        ({"SUPABASE_URL": "x.supabase.co"}, "SUPABASE_URL"),
        ({"FREE_USER_QUOTA_MB": "lots"}, "FREE_USER_QUOTA_MB"),
        ({"PAID_USER_QUOTA_MB": "-5"}, "PAID_USER_QUOTA_MB"),
        ({"MAX_FILE_SIZE_MB": "5 apples"}, "MAX_FILE_SIZE_MB"),
        ({"MAX_UPLOAD_SIZE": "big"}, "MAX_UPLOAD_SIZE"),
        ({"MAX_UPLOAD_SIZE": "10mb", "MAX_FILE_SIZE_MB": "20"}, "MAX_FILE_SIZE_MB is above MAX_UPLOAD_SIZE"),
        ({"AUDIOSTORE_SECRET": "short"}, "AUDIOSTORE_SECRET"),
        ({"AUDIOSTORE_SECRET": f"short,{SECRET}"}, "AUDIOSTORE_SECRET"),
    ],
)
def test_what_is_missing_or_contradicts_is_one_error_that_names_it(
    tmp_path: Path, variables: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named) as error:
        AudioStore.from_env(environment(tmp_path, **variables))
    assert "short" not in str(error.value).replace("shorter", "")


def test_a_small_request_limit_is_the_file_limit_unless_one_is_set(tmp_path: Path) -> None:
    assert Settings.from_env(environment(tmp_path, MAX_UPLOAD_SIZE="20mb")).max_file_size == 20 * 2**20
    assert Settings.from_env(environment(tmp_path, MAX_UPLOAD_SIZE="200mb")).max_file_size == 50 * 2**20
    both = environment(tmp_path, MAX_UPLOAD_SIZE="200mb", MAX_FILE_SIZE_MB="100")
    assert Settings.from_env(both).max_file_size == 100 * 2**20


SUPABASE = {"SUPABASE_URL": "https://x.supabase.co", "SUPABASE_SERVICE_KEY": "k" * 20}
DATABASE = {"DATABASE_URL": "postgresql://localhost/app"}


@pytest.mark.parametrize("backend", ["local", "supabase"])
def test_the_catalog_does_not_depend_on_where_new_files_go(tmp_path: Path, backend: str) -> None:
    env = environment(tmp_path, STORAGE_BACKEND=backend, **SUPABASE)
    assert Settings.from_env(env).catalog == "supabase"
    assert Settings.from_env(env | DATABASE).catalog == "postgres"
    assert Settings.from_env(environment(tmp_path, **DATABASE)).catalog == "postgres"
    assert Settings.from_env(environment(tmp_path, SUPABASE_URL="https://x.supabase.co")).catalog == "sqlite"


def test_with_a_catalog_that_has_plans_the_policy_is_the_catalogs(tmp_path: Path) -> None:
    settings = Settings.from_env(environment(tmp_path, **DATABASE))
    assert settings.quota() == CatalogQuota()
    assert isinstance(settings.quota(lambda _: "paid"), TieredQuota)


@pytest.mark.parametrize(
    ("fallback", "backend", "name"),
    [("none", "supabase", None), ("local", "supabase", "local"), ("local", "local", None)],
)
def test_a_fallback_is_for_supabase_and_off_by_default(
    tmp_path: Path, fallback: str, backend: str, name: str | None
) -> None:
    env = environment(tmp_path, STORAGE_BACKEND=backend, STORAGE_FALLBACK=fallback, **SUPABASE)
    parts = Settings.from_env(env).parts()
    assert getattr(parts["fallback"], "name", None) == name
    del env["STORAGE_FALLBACK"]
    assert Settings.from_env(env).parts()["fallback"] is None


def test_options_win_over_the_environment(tmp_path: Path) -> None:
    with AudioStore.from_env(environment(tmp_path), base_url="/elsewhere") as store:
        assert store.url(store.put(b"x", owner="a")).startswith("/elsewhere/")


def test_a_local_store_makes_its_secret_once_and_only_for_itself(tmp_path: Path) -> None:
    with AudioStore.local(tmp_path) as store:
        file = store.put(b"take", owner="alice")
        token = store.url(file).rpartition("/")[2]
    secret = tmp_path / ".audiostore" / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700

    with AudioStore.local(tmp_path) as again, serve(again, token) as reply:
        assert (reply.status, b"".join(reply.body)) == (200, b"take")
    assert [path.name for path in secret.parent.iterdir() if path.name.startswith("secret")] == ["secret"]


def test_of_many_processes_that_start_at_once_one_makes_the_secret(tmp_path: Path) -> None:
    code = "import sys; from audiostore.settings import local_secret; print(local_secret(sys.argv[1]))"
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    secrets = {child.communicate(timeout=60)[0].strip() for child in children}
    assert len(secrets) == 1
    assert len(secrets.pop()) > 30


def test_an_empty_secret_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".audiostore").mkdir()
    (tmp_path / ".audiostore" / "secret").touch()
    with pytest.raises(ConfigurationError, match="secret"):
        AudioStore.local(tmp_path)


def test_a_root_that_cannot_be_made_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(PermissionDenied):
        AudioStore.local(tmp_path / "new")


def test_a_key_never_begins_with_the_stores_own_folder(tmp_path: Path) -> None:
    with AudioStore.local(tmp_path) as store:
        for owner in (".audiostore", ".", "..", "con", "-"):
            file = store.put(b"take", owner=owner)
            assert not file.key.startswith(".")
            assert store.get(file) == b"take"
        assert store.audit().ok
