"""The page of the Flask app, on disk, in headless Chromium."""

from __future__ import annotations

import pytest

from tests.apps.troubles import Troubles
from tests.apps.whole_story import WholeStory

pytestmark = pytest.mark.browser


class TestFlaskOnDisk(WholeStory, Troubles):
    app = "flask"
    backend = "disk"
