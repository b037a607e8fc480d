"""Two users: whatever belongs to one is not there for the other, in every route there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from examples.fastapi.app import api
from examples.flask.app import create_app
from tests.apps.running import ALICE, BOB, Site, Visitor, running
from tests.apps.test_exports import book, finished

PLACE = {"project_id": "p1", "chapter_id": "1", "section_id": "1"}


class Belongings:
    """What alice has, and bob knows every address of."""

    def __init__(self, site: Site) -> None:
        self.alice = site.visitor("alice")
        self.take = self.alice.upload(**PLACE)
        self.path, self.id = self.take["path"], self.take["upload_id"]
        self.project = self.alice.ok("PUT", "/api/projects/p1", json={"project_data": book(self.path)})
        self.granted = self.alice.ok("POST", "/api/upload/begin", json={"filename": "a.wav", "size": 100, **PLACE})
        self.export = self.alice.ok("POST", "/api/export", json={"project_id": "p1"})["exportId"]
        finished(self.alice, self.export)


def listed(*names: str) -> Callable[[dict[str, Any]], bool]:
    return lambda told: all(told[name] in (0, [], {}) for name in names)


def hidden(told: dict[str, Any]) -> bool:
    return told["results"][0]["status"] == "missing" and told["results"][0]["upload_id"] is None


Route = tuple[str, str]
REFUSED: dict[Route, Callable[[Belongings], dict[str, Any]]] = {
    ("GET", "/api/projects/{id}"): lambda its: {"id": "p1"},
    ("PUT", "/api/projects/{id}"): lambda its: {
        "id": "p1",
        "json": {"project_data": {"title": "bob's"}, "revision": its.project["revision"]},
    },
    ("GET", "/api/projects/{id}/peaks"): lambda its: {"id": "p1", "params": {"path": its.path}},
    ("GET", "/api/audio/url"): lambda its: {"params": {"path": its.path}},
    ("DELETE", "/api/files"): lambda its: {"params": {"path": its.path}},
    ("DELETE", "/api/files/{id}"): lambda its: {"id": its.id},
    ("GET", "/api/audio/check"): lambda its: {"params": {"project_id": "p1"}},
    ("POST", "/api/export"): lambda its: {"json": {"project_id": "p1"}},
    ("GET", "/api/export/{id}"): lambda its: {"id": its.export},
    ("DELETE", "/api/export/{id}"): lambda its: {"id": its.export},
    ("GET", "/api/export/{id}/download"): lambda its: {"id": its.export},
    ("POST", "/api/upload/{step}"): lambda its: {"step": "finish", "json": {"reservation": its.granted["reservation"]}},
}
"""Answered with 404, as if alice's were not there."""
SHOWN: dict[Route, tuple[Callable[[Belongings], dict[str, Any]], Callable[[dict[str, Any]], bool]]] = {
    ("GET", "/api/projects"): (lambda its: {}, listed("projects")),
    ("GET", "/api/files"): (lambda its: {"params": {"project_id": "p1"}}, listed("files")),
    ("GET", "/api/usage"): (lambda its: {}, listed("used", "reserved", "file_count")),
    ("GET", "/api/export"): (lambda its: {}, listed("exports")),
    ("POST", "/api/audio/url"): (lambda its: {"json": {"paths": [its.path]}}, listed("urls")),
    ("POST", "/api/audio/check"): (lambda its: {"json": {"paths": [its.path]}}, hidden),
    ("DELETE", "/api/projects/{id}"): (lambda its: {"id": "p1"}, listed("deleted_files")),
}
"""Answered with bob's own, which is nothing."""
MAKES = {("POST", "/api/projects"), ("POST", "/api/upload"), ("POST", "/api/upload/begin")}
"""Make something of the asker's own, and look at nothing."""
OPEN = {("GET", "/api/auth/config"), ("POST", "/api/auth/{step}")}
BY_LINK = {
    ("GET", "/audio/{token}"),
    ("HEAD", "/audio/{token}"),
    ("PUT", "/audio/{token}"),
    ("GET", "/exports/{ticket}"),
}


def ask(visitor: Visitor, route: Route, given: dict[str, Any]) -> Any:
    method, path = route
    names = {name: given.pop(name) for name in ("id", "step") if name in given}
    return visitor.ask(method, path.format(**names), **given)


def test_no_route_is_forgotten_here() -> None:
    found = [route for route in api.routes if isinstance(route, APIRoute)]
    routes = {(method, route.path) for route in found for method in route.methods or ()}
    assert routes == {*REFUSED, *SHOWN, *MAKES, *OPEN, *BY_LINK}


def test_both_apps_have_the_same_routes(tmp_path: Path) -> None:
    with running("flask", tmp_path) as site:
        rules = create_app(site.flow).url_map.iter_rules()
        flask = {
            (method, rule.rule.replace("<", "{").replace(">", "}"))
            for rule in rules
            for method in rule.methods or ()
            if rule.rule.startswith(("/api/", "/audio/", "/exports/")) and method not in {"OPTIONS", "HEAD"}
        }
    ours = {(method, path) for method, path in (*REFUSED, *SHOWN, *MAKES, *OPEN, *BY_LINK) if method != "HEAD"}
    assert ours - flask == {("POST", "/api/upload/begin")}  # one of the steps there
    assert flask - ours == set()


@pytest.mark.everywhere
def test_what_is_alices_is_not_there_for_bob(site: Site, bob: Visitor) -> None:
    its = Belongings(site)
    before = site.store.usage(ALICE)
    for route, given in REFUSED.items():
        answer = ask(bob, route, given(its))
        assert answer.status_code == 404, (route, answer.text)
        assert answer.json()["success"] is False
    for route, (given, empty) in SHOWN.items():
        answer = ask(bob, route, given(its))
        assert answer.status_code == 200, (route, answer.text)
        assert empty(answer.json()), (route, answer.text)
    # And nothing of it had an effect.
    assert site.store.usage(ALICE) == before
    assert site.store.usage(BOB).files == 0
    assert its.alice.ok("GET", "/api/projects/p1") == its.project
    assert its.alice.ok("GET", f"/api/export/{its.export}")["status"] == "finished"
    assert its.alice.ok("POST", "/api/upload/cancel", json={"reservation": its.granted["reservation"]})


def test_the_same_ids_are_two_places_for_two_people(site: Site, alice: Visitor, bob: Visitor) -> None:
    first, second = alice.upload(**PLACE), bob.upload(**PLACE)
    assert second["replaced"] is False
    assert alice.links(first["path"], second["path"])["missing"] == [second["path"]]
    alice.ok("DELETE", "/api/projects/p1")
    assert site.store.usage(BOB).files == 1


def test_an_id_that_somebody_has_can_not_be_taken_over(alice: Visitor, bob: Visitor) -> None:
    alice.ok("PUT", "/api/projects/p1", json={"project_data": {"title": "alice's"}})
    bob.refused("PUT", "/api/projects/p1", 404, json={"project_data": {"title": "bob's"}})
    assert alice.ok("GET", "/api/projects/p1")["project_data"] == {"title": "alice's"}


def test_without_a_token_every_route_is_401(site: Site) -> None:
    stranger = site.visitor()
    for route in (*REFUSED, *SHOWN, *MAKES):
        method, path = route
        answer = stranger.ask(method, path.format(id="p1", step="finish"))
        assert answer.status_code == 401, route
