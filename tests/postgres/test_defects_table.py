"""The table of defects names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROW = re.compile(r"^\| ([SRPM]\d\d) \|.*\| (\S+)::(\w+) \|$", re.MULTILINE)


def test_each_named_test_is_there() -> None:
    rows = ROW.findall((ROOT / "tests" / "defects.md").read_text(encoding="utf-8"))
    defects = [defect for defect, *_ in rows]
    assert defects == sorted(set(defects), key=lambda each: ("SRPM".index(each[0]), each))
    assert {f"S{each:02}" for each in range(1, 15)} | {f"R{each:02}" for each in range(1, 4)} <= set(defects)
    assert {f"M{each:02}" for each in range(1, 14)} <= set(defects)
    missing = [
        (defect, name)
        for defect, file, name in rows
        if not re.search(rf"^\s*(def|class) {name}\b", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert missing == []
