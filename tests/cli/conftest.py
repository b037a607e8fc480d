from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.cloud import Cloud, cloud_of
from tests.cli.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(tmp_path)


@pytest.fixture
def cloud(terminal: Terminal) -> Iterator[Cloud]:
    with cloud_of(terminal) as cloud:
        yield cloud
