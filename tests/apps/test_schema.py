"""The FastAPI app asked by its own schema: whatever is sent, nothing is a fault, and no trace comes out."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings

from examples.fastapi.app import api
from tests.apps.running import Site, running

EVERY: list[Any] = list(HealthCheck)


def operations() -> list[Any]:
    app = FastAPI()
    app.include_router(api)
    described: Any = schemathesis.openapi.from_dict(app.openapi())
    return [each.ok() for each in described.get_all_operations()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    with running("fastapi", tmp_path_factory.mktemp("schema")) as site:
        site.visitor("alice").upload(project_id="p1", chapter_id="1", section_id="1")
        yield site


@pytest.mark.parametrize("operation", operations(), ids=lambda each: each.label)
def test_nothing_that_can_be_sent_is_a_fault(site: Site, operation: Any) -> None:
    (alice,) = site.visitors

    @given(case=operation.as_strategy())
    @settings(max_examples=6, phases=[Phase.generate], suppress_health_check=EVERY, derandomize=True)
    def ask(case: Any) -> None:
        answer = case.call(base_url=site.url, headers={"Authorization": f"Bearer {alice.token}"}, session=session)
        assert answer.status_code < 500 or answer.status_code == 507, answer.text
        assert "Traceback" not in answer.text
        assert "site-packages" not in answer.text
        if answer.status_code >= 400:
            told = answer.json()
            assert answer.headers["content-type"] == ["application/problem+json"]
            assert (told["success"], told["status"]) == (False, answer.status_code)

    with requests.Session() as session:
        ask()
