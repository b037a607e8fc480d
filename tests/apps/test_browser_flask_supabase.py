"""The page of the Flask app, on a Supabase of another origin, in headless Chromium."""

from __future__ import annotations

import pytest

from tests.apps.troubles import Troubles
from tests.apps.whole_story import WholeStory

pytestmark = pytest.mark.browser


class TestFlaskOnSupabase(WholeStory, Troubles):
    app = "flask"
    backend = "supabase"
