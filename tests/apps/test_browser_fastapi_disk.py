"""The page of the FastAPI app, on disk, in headless Chromium."""

from __future__ import annotations

import pytest

from tests.apps.troubles import Troubles
from tests.apps.whole_story import WholeStory

pytestmark = pytest.mark.browser


class TestFastAPIOnDisk(WholeStory, Troubles):
    app = "fastapi"
    backend = "disk"
