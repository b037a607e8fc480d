"""The page of the Flask app, on disk, in headless Chromium."""

from __future__ import annotations

import pytest

from tests.apps.stories import Story

pytestmark = pytest.mark.browser


class TestFlaskOnDisk(Story):
    app = "flask"
    backend = "disk"
