"""The player's files: small, from here alone, and readable in both colour schemes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PLAYER = Path(__file__).parents[2] / "examples" / "player"
FILES = [path for path in sorted(PLAYER.rglob("*")) if path.is_file()]
THEME = (PLAYER / "style" / "theme.css").read_text()
SCHEMES: dict[str, str] = dict(
    zip(("light", "dark"), re.findall(r":root \{(.*?)\n\s*\}", THEME, re.DOTALL), strict=True)
)
TEXT = [
    *[(text, ground) for text in ("text", "soft", "accent") for ground in ("ground", "card", "sunk", "tint")],
    *[("danger", ground) for ground in ("ground", "card", "sunk", "trouble-tint")],
    *[("warning", "card"), ("warning", "warning-tint"), ("text", "warning-tint"), ("text", "trouble-tint")],
    *[("on-accent", "accent"), ("on-accent", "accent-strong"), ("accent-strong", "tint"), ("card", "danger")],
]

GRAPHICS = [
    *[("wave", ground) for ground in ("card", "tint")],
    ("edge", "card"),
    ("accent", "card"),
    ("accent", "tint"),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_small_and_fetches_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert path.suffix == ".html" or len(text.splitlines()) <= 300
    addresses = set(re.findall(r"\b\w+://[^\s\"')]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, which nobody fetches


def test_the_page_has_no_inline_script_or_style() -> None:
    page = (PLAYER / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("text", "ground"), TEXT, ids="-on-".join)
def test_text_stands_out_from_its_ground(scheme: str, text: str, ground: str) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", SCHEMES[scheme]))
    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("graphic", "ground"), GRAPHICS, ids="-on-".join)
def test_what_is_drawn_stands_out_from_its_ground(scheme: str, graphic: str, ground: str) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", SCHEMES[scheme]))
    assert contrast(colours[graphic], colours[ground]) >= 3


def contrast(one: str, other: str) -> float:
    """Give the ratio of WCAG 2."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
