"""The page of the FastAPI app, on a Supabase of another origin, in headless Chromium."""

from __future__ import annotations

import pytest

from tests.apps.troubles import Troubles
from tests.apps.whole_story import WholeStory

pytestmark = pytest.mark.browser


class TestFastAPIOnSupabase(WholeStory, Troubles):
    app = "fastapi"
    backend = "supabase"
