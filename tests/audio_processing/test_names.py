"""The public names of ``audiostore.audio``: sorted, importable, documented, and loaded only when they are used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from audiostore import audio

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_all_is_importable_and_has_a_docstring() -> None:
    assert len(set(audio.__all__)) == len(audio.__all__) > 15
    assert set(audio.__all__) <= set(dir(audio))
    silent = [
        name for name in audio.__all__ if callable(getattr(audio, name)) and not (getattr(audio, name).__doc__ or "")
    ]
    assert silent == []
    with pytest.raises(AttributeError):
        audio.no_such_name  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_every_name_is_in_the_reference_and_in_the_how_to() -> None:
    reference = (DOCS / "reference" / "audio.md").read_text(encoding="utf-8")
    how_to = (DOCS / "how-to" / "process-audio.md").read_text(encoding="utf-8")
    values = {"PRESETS", "Accept", "Probed", "Convert"}
    assert [
        name for name in audio.__all__ if name != "PRESETS" and f"::: audiostore.audio.{name}\n" not in reference
    ] == []
    assert [name for name in audio.__all__ if name not in values and not re.search(rf"\b{name}\b", how_to)] == []


def test_every_code_of_a_refusal_is_in_the_how_to() -> None:
    sources = Path(audio.__file__).parent.glob("*.py")
    codes = {code for file in sources for code in re.findall(r'UnsupportedAudio\("(\w+)"', file.read_text("utf-8"))}
    assert {"empty", "polyglot", "timeout", "too_long"} <= codes
    how_to = (DOCS / "how-to" / "process-audio.md").read_text(encoding="utf-8")
    assert [code for code in sorted(codes) if f"`{code}`" not in how_to] == []


def test_loading_the_package_loads_no_decoder() -> None:
    program = "import sys, audiostore.audio; print({'av', 'pydub', 'audioop'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
