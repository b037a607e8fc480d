"""The suite for path builders, run by ours, and proven by builders that are wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from audiostore import ChapterSectionPath, TemplatePath, Upload
from audiostore.errors import InvalidKey
from audiostore.models import Place
from audiostore.paths import Location
from audiostore.protocols import PathBuilder
from audiostore.testing import PathBuilderSuite


class TestChapterSectionPath(PathBuilderSuite):
    @pytest.fixture
    def build(self) -> PathBuilder:
        return ChapterSectionPath()


class TestTemplatePath(PathBuilderSuite):
    @pytest.fixture
    def build(self) -> PathBuilder:
        return TemplatePath("{owner}/{project}.{chapter}.{section}/{id}{suffix}")


class TestTemplatePathOfOwnersAlone(PathBuilderSuite):
    keeps = ("owner",)

    @pytest.fixture
    def build(self) -> PathBuilder:
        return TemplatePath("u-{owner}/{stem}/{id}")


# Builders that are wrong, and the test that says so.


def drops_what_is_not_ascii(upload: Upload) -> str:
    clean = [re.sub("[^A-Za-z0-9]", "", each or "") or "x" for each in _ids(upload)]
    return "/".join((*clean, upload.id))


def joins_ids_with_underscores(upload: Upload) -> str:
    return f"{upload.owner}/{upload.place.project}_{upload.place.chapter}_{upload.place.section}/{upload.id}"


def ignores_case(upload: Upload) -> str:
    return ChapterSectionPath()(upload).replace("!", "")


def keeps_case(upload: Upload) -> str:
    return re.sub("!([a-z])", lambda found: found[1].upper(), ChapterSectionPath()(upload))


def is_not_unique(upload: Upload) -> str:
    return re.sub("-[0-9a-f]{16}", "", ChapterSectionPath()(upload))


def writes_none(upload: Upload) -> str:
    return "/".join((*map(str, _ids(upload)), upload.id))


def forgets_that_none_is_missing(upload: Upload) -> str:
    place = Place(*(each or "-" for each in _ids(upload)[1:]))
    return ChapterSectionPath()(replace(upload, place=place)).replace("=2d", "-")


def has_no_bounds(upload: Upload) -> str:
    return "/".join((*((each or "-").encode().hex() for each in _ids(upload)), upload.id))


def trusts_ids(upload: Upload) -> str:
    return f"{upload.owner}/{upload.place.project}/{upload.place.chapter}/{upload.place.section}/{upload.id}"


def trusts_filenames(upload: Upload) -> str:
    return f"{upload.owner}/{upload.id}/{upload.filename or 'x'}"


def cuts_long_ids(upload: Upload) -> str:
    place = Place(*(each and each[:100] for each in _ids(upload)[1:]))
    return ChapterSectionPath()(replace(upload, owner=upload.owner[:100], place=place))


class CountsUploads:
    """Not safe across threads: what two read at once is equal."""

    count = 0

    def __call__(self, upload: Upload) -> str:
        count = self.count
        for _ in range(200):
            pass
        self.count = count + 1
        return f"{upload.owner}/{count // 2}"


class LosesThePlace(ChapterSectionPath):
    def parse(self, key: str) -> Location:
        return Location(super().parse(key).owner, Place())


class ParsesAnything(ChapterSectionPath):
    def parse(self, key: str) -> Location:
        owner, *_ = key.split("/")
        return Location(owner, Place())


WRONG: tuple[tuple[PathBuilder, Callable[[PathBuilderSuite, PathBuilder], None]], ...] = (
    (drops_what_is_not_ascii, PathBuilderSuite.test_ids_in_any_script_are_apart),
    (drops_what_is_not_ascii, PathBuilderSuite.test_no_two_ids_share_a_folder),
    (joins_ids_with_underscores, PathBuilderSuite.test_a_mark_within_an_id_is_not_taken_for_the_end_of_it),
    (ignores_case, PathBuilderSuite.test_ids_that_differ_in_case_alone_are_apart_on_a_disk_that_ignores_case),
    (keeps_case, PathBuilderSuite.test_ids_that_differ_in_case_alone_are_apart_on_a_disk_that_ignores_case),
    (is_not_unique, PathBuilderSuite.test_each_upload_gets_a_key_of_its_own),
    (is_not_unique, PathBuilderSuite.test_equal_filenames_never_meet_in_any_spelling),
    (CountsUploads(), PathBuilderSuite.test_many_threads_at_once_get_keys_of_their_own),
    (writes_none, PathBuilderSuite.test_a_place_that_is_missing_is_never_written_none),
    (writes_none, PathBuilderSuite.test_a_place_that_is_missing_is_none_that_an_id_could_name),
    (forgets_that_none_is_missing, PathBuilderSuite.test_a_place_that_is_missing_is_none_that_an_id_could_name),
    (has_no_bounds, PathBuilderSuite.test_a_long_id_makes_no_key_too_long),
    (has_no_bounds, PathBuilderSuite.test_an_id_that_no_catalog_keeps_is_refused_as_invalid),
    (cuts_long_ids, PathBuilderSuite.test_no_two_ids_share_a_folder),
    (trusts_ids, PathBuilderSuite.test_no_id_leads_out_of_its_folder),
    (trusts_filenames, PathBuilderSuite.test_no_filename_is_refused),
    (trusts_filenames, PathBuilderSuite.test_no_filename_makes_a_folder),
    (lambda upload: f"/{upload.id}", PathBuilderSuite.test_every_key_is_portable),
    (LosesThePlace(), PathBuilderSuite.test_parse_gives_owner_and_place_back),
    (ParsesAnything(), PathBuilderSuite.test_parse_refuses_what_was_not_made_here),
)


@pytest.mark.parametrize(("wrong", "test"), WRONG, ids=lambda each: getattr(each, "__name__", type(each).__name__))
def test_the_suite_finds_a_wrong_builder(
    wrong: PathBuilder, test: Callable[[PathBuilderSuite, PathBuilder], None]
) -> None:
    # pytest.raises(...) without a match inside the suite fails by an exception of its own.
    with pytest.raises((AssertionError, InvalidKey, UnicodeError, pytest.fail.Exception)):
        test(PathBuilderSuite(), wrong)


def test_every_test_of_the_suite_is_proven_by_a_wrong_builder() -> None:
    tests = {name for name in vars(PathBuilderSuite) if name.startswith("test_")}
    assert tests == {test.__name__ for _, test in WRONG}


def _ids(upload: Upload) -> tuple[str | None, ...]:
    return (upload.owner, upload.place.project, upload.place.chapter, upload.place.section)
