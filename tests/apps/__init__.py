import pytest

# Their assertions explain themselves, as those of test modules do.
pytest.register_assert_rewrite(
    "tests.apps.people", "tests.apps.running", "tests.apps.stories", "tests.apps.whole_story"
)
