"""The page of the Flask app, on disk, in headless Chromium."""

from __future__ import annotations

import pytest

from tests.apps.whole_story import WholeStory

pytestmark = pytest.mark.browser


class TestFlaskOnDisk(WholeStory):
    app = "flask"
    backend = "disk"
