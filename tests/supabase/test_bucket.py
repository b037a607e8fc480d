"""ensure_bucket: what the command line does, an app can do, and nothing is changed that it did not ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from audiostore import ConfigurationError, PermissionDenied
from audiostore.backends.supabase import SupabaseBackend
from tests.supabase.project import Served

MB = 2**20


@pytest.fixture
def backend(project: Served) -> Iterator[SupabaseBackend]:
    with closing(SupabaseBackend(project.url, project.fake.service_key, "takes", timeouts=project.timeouts)) as backend:
        yield backend


def changes(project: Served) -> list[str]:
    return [each.method for each in project.fake.requests if each.path.startswith("/bucket") and each.method != "GET"]


def test_one_that_exists_is_left_as_it_is(project: Served, backend: SupabaseBackend) -> None:
    project.fake.create_bucket("takes", public=True)
    report = backend.ensure_bucket(max_file_size="50 MB")
    assert (report.ok, report.existed, report.changed) == (False, True, {})
    assert report.differences["public"] == (True, False)
    assert list(report.faults) == ["public"]
    assert changes(project) == []


def test_with_fix_it_is_changed_and_the_report_tells_what_was(project: Served, backend: SupabaseBackend) -> None:
    project.fake.create_bucket("takes", public=True)
    report = backend.ensure_bucket(max_file_size="50 MB", types=["audio/mpeg"], fix=True)
    assert (report.ok, report.differences) == (True, {})
    assert report.changed == {
        "public": (True, False),
        "file_size_limit": (None, 50 * MB),
        "allowed_mime_types": (None, ["audio/mpeg"]),
    }
    assert backend.ensure_bucket(max_file_size="50 MB", types=["audio/mpeg"]).differences == {}


def test_looking_only_changes_nothing_whatever_else_is_asked(project: Served, backend: SupabaseBackend) -> None:
    assert not backend.ensure_bucket(change=False, fix=True).existed
    project.fake.create_bucket("takes", public=True)
    assert not backend.ensure_bucket(change=False, fix=True).ok
    assert changes(project) == []


def test_a_limit_can_be_taken_away(project: Served, backend: SupabaseBackend) -> None:
    backend.ensure_bucket(max_file_size="5 MB")
    assert backend.ensure_bucket(fix=True).changed == {"file_size_limit": (5 * MB, None)}


@pytest.mark.parametrize(
    ("allowed", "wanted", "ok"),
    [
        (["audio/*"], ["audio/mpeg", "audio/wav"], True),
        (["*/*"], ["audio/mpeg"], True),
        (["audio/mpeg"], ["audio/*"], False),
        (["audio/mpeg", "video/mp4"], ["audio/mpeg"], True),
        (["video/*"], ["audio/mpeg"], False),
    ],
)
def test_types_do_harm_only_where_they_shut_out(
    project: Served, backend: SupabaseBackend, allowed: list[str], wanted: list[str], *, ok: bool
) -> None:
    project.fake.create_bucket("takes", allowed_mime_types=allowed)
    assert backend.ensure_bucket(types=wanted).ok is ok


@pytest.mark.parametrize("fault", [{"lose_response": True}, {"status": 503}, {"cut_request_after": 10}])
@pytest.mark.parametrize("exists", [False, True])
def test_a_broken_change_is_made_once_more(
    project: Served, backend: SupabaseBackend, fault: dict[str, Any], *, exists: bool
) -> None:
    if exists:
        project.fake.create_bucket("takes", public=True)
    project.fake.fail_next("PUT /bucket/takes" if exists else "POST /bucket", **fault)
    assert backend.ensure_bucket(max_file_size="50 MB", fix=True).ok
    assert backend.ensure_bucket(max_file_size="50 MB", change=False).differences == {}


def test_a_limit_over_the_projects_is_a_setting_to_mend(backend: SupabaseBackend) -> None:
    with pytest.raises(ConfigurationError, match="limit of the whole project"):
        backend.ensure_bucket(max_file_size="10 GB")


def test_to_all_but_the_service_key_it_is_refused_not_missing(project: Served) -> None:
    project.fake.create_bucket("takes")
    for key in (project.fake.anon_key, project.fake.user_token("alice")):
        with (
            closing(SupabaseBackend(project.url, key, "takes")) as anyone,
            pytest.raises(PermissionDenied, match="service key"),
        ):
            anyone.ensure_bucket(change=False)
