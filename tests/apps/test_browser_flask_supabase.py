"""The page of the Flask app, on a Supabase of another origin, in headless Chromium."""

from __future__ import annotations

import pytest

from tests.apps.stories import Story

pytestmark = pytest.mark.browser


class TestFlaskOnSupabase(Story):
    app = "flask"
    backend = "supabase"
