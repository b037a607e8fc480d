"""The page of the FastAPI app, on disk, in headless Chromium."""

from __future__ import annotations

import pytest

from tests.apps.stories import Story

pytestmark = pytest.mark.browser


class TestFastAPIOnDisk(Story):
    app = "fastapi"
    backend = "disk"
