"""A live app, with all that goes wrong in a few years, and users who edit on while it is migrated."""

from __future__ import annotations

import json
from collections.abc import Generator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.migrate.compare import judged, run_hand_made, run_ours, world
from tests.migrate.live_app import Stored, judge
from tests.migrate.live_run import Local

BAD = ("left", "other", "foreign", "silent", "harmed", "doubled")


@pytest.fixture
def local(tmp_path: Path) -> Generator[Local]:
    here = Local(tmp_path, files=240, projects=40, owners=8)
    with here.store:
        yield here


def test_it_comes_over_whole_and_no_edit_is_lost(local: Local) -> None:
    with local.users(takes=20) as editors:
        first = local.migration.run().report
    texts = local.app.texts()
    assert editors.edits > 0
    assert editors.lost(texts) == []
    verdict = judge(editors.told(local.live), texts, local.objects())
    assert {word: verdict.examples[word] for word in BAD if verdict.counts[word]} == {}
    assert verdict.counts["right"] > 80
    assert min(verdict.counts["left (no room)"], verdict.counts["left (empty)"], verdict.counts["untouched"]) > 0
    assert first.outcomes["unparsable"] == len(local.live.broken) > 0
    assert min(first.outcomes[each] for each in ("vanished", "quota", "no_reference", "unreadable", "not_audio")) > 0
    assert local.store.audit().ok
    assert all(local.store.usage(owner).used <= room for owner, room in local.live.full.items())
    assert {name: sha256((local.live.folder / name).read_bytes()).hexdigest() for name in local.live.digests} == (
        local.live.digests
    )


def test_the_way_back_leaves_every_project_as_it_was(local: Local) -> None:
    for project in local.live.broken:  # as long as it can't be read, it may name any copy, and they are kept
        local.app.write(project, "{}")
    before = local.app.texts()
    local.migration.run().report  # noqa: B018 - asking for the report does it
    assert local.app.texts() != before
    local.migration.rollback().report  # noqa: B018
    assert local.app.texts() == before
    assert local.objects() == {}
    assert all(local.store.usage(owner).used == 0 for owner in local.live.owners)


def test_the_judge_sees_what_is_wrong(local: Local) -> None:
    local.migration.run().report  # noqa: B018
    played = next(each for each in local.live.played if each.address and not each.excuse)
    texts, objects = dict(local.app.texts()), local.objects()
    book = json.loads(texts[played.project] or "")
    section = next(
        section
        for chapter in book["chapters"]
        for section in chapter["sections"]
        if (chapter["id"], section["id"]) == (played.chapter, played.section)
    )
    copy, stranger = objects[section["audioPath"]], next(each for each in local.live.owners if each != played.owner)
    for word, changed in (
        ("foreign", {section["audioPath"]: Stored(owner=stranger, sha256=copy.sha256)}),
        ("other", {section["audioPath"]: Stored(owner=copy.owner, sha256="0" * 64)}),
        ("doubled", {"again": copy}),
    ):
        assert judge(local.live, texts, objects | changed).counts[word] > 0
    section["text"] = "something else"
    assert judge(local.live, texts | {played.project: json.dumps(book)}, objects).counts["harmed"] > 0
    section["audioPath"] = "nowhere"
    assert judge(local.live, texts | {played.project: json.dumps(book)}, objects).counts["silent"] == 1


SIZE = {"files": 45, "projects": 12, "owners": 3}


def test_an_app_on_supabase_comes_over_whole(tmp_path: Path) -> None:
    with world(tmp_path, applied=True, **SIZE) as here:
        verdict, *_ = judged(run_ours, here, takes=5)
        assert {word: verdict.examples[word] for word in BAD if verdict.counts[word]} == {}
        assert verdict.counts["right"] > 20
        assert verdict.counts["edits"] == 0


@pytest.mark.filterwarnings("ignore")  # its own, and those of what it calls
def test_what_it_wrote_for_itself_gets_it_wrong(tmp_path: Path) -> None:
    with world(tmp_path, applied=False, **SIZE) as here:
        verdict, *_ = judged(run_hand_made, here, users=0)
        assert min(verdict.counts["left"], verdict.counts["doubled"]) > 0
        assert verdict.counts["other"] + verdict.counts["foreign"] > 0
