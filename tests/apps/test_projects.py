"""The host app's own table: saved as it is sent, and never over somebody's newer work."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apps.running import ALICE, Site, Visitor

BOOK: dict[str, Any] = {
    "title": "Gezeiten 潮",
    "mine": {"kept": [1, None, "x"]},
    "chapters": [{"id": 1, "name": "One", "sections": []}],
}


@pytest.mark.everywhere
def test_a_project_is_kept_as_it_was_sent_in_the_table_that_migration_reads(site: Site, alice: Visitor) -> None:
    made = alice.ok("PUT", "/api/projects/p1", json={"project_data": BOOK})
    assert made["project_data"] == BOOK
    assert alice.ok("GET", "/api/projects/p1") == made
    (listed,) = alice.ok("GET", "/api/projects")["projects"]
    assert (listed["id"], listed["title"], listed["revision"]) == ("p1", "Gezeiten 潮", made["revision"])
    if site.supabase is not None:
        (row,) = site.supabase.rows("projects")
        assert (row["id"], row["user_id"], row["project_data"]) == ("p1", ALICE, BOOK)


def test_a_change_counts_from_the_revision_that_was_read(alice: Visitor) -> None:
    first = alice.ok("PUT", "/api/projects/p1", json={"project_data": BOOK})
    newer: dict[str, Any] = {"project_data": {**BOOK, "title": "Newer"}, "revision": first["revision"]}
    second = alice.ok("PUT", "/api/projects/p1", json=newer)
    assert second["revision"] != first["revision"]
    stales: list[dict[str, Any]] = [newer, {"project_data": BOOK}, {"project_data": BOOK, "revision": None}]
    for stale in stales:
        told = alice.refused("PUT", "/api/projects/p1", 409, json=stale)
        assert told["revision"] == second["revision"]
    assert alice.ok("GET", "/api/projects/p1")["project_data"]["title"] == "Newer"


def test_a_project_that_was_deleted_is_not_brought_back_by_an_old_window(alice: Visitor) -> None:
    first = alice.ok("PUT", "/api/projects/p1", json={"project_data": BOOK})
    alice.upload(project_id="p1")
    assert alice.ok("DELETE", "/api/projects/p1")["deleted_files"] == 1
    alice.refused("GET", "/api/projects/p1", 404)
    alice.refused("PUT", "/api/projects/p1", 404, json={"project_data": BOOK, "revision": first["revision"]})
    assert alice.ok("GET", "/api/usage")["file_count"] == 0


def test_a_new_project_gets_an_id(alice: Visitor) -> None:
    answer = alice.ask("POST", "/api/projects", json={"project_data": BOOK})
    assert answer.status_code == 201
    assert alice.ok("GET", f"/api/projects/{answer.json()['id']}")["project_data"] == BOOK


@pytest.mark.parametrize("body", [[], {}, {"project_data": "text"}, {"project_data": {}, "revision": 1.5}, "x"])
def test_what_is_no_project_is_400(alice: Visitor, body: object) -> None:
    alice.refused("PUT", "/api/projects/p1", 400, json=body)


def test_ids_that_nothing_can_keep_are_400_or_404(alice: Visitor) -> None:
    for name in ("x" * 256, "a%00b"):
        assert alice.ask("GET", f"/api/projects/{name}").status_code in {400, 404}
