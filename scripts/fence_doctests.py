"""A griffe extension for the site: the examples in docstrings become code blocks, not quotations.

Markdown takes ``>>>`` for a quotation within a quotation within a quotation. Docstrings stay as Python's own tools
and people's eyes want them; only the site needs the fences.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*$).+)*", re.MULTILINE)
_LITERAL = re.compile(r"::\n\n((?: {4}.*(?:\n|$)|\n(?= {4}))+)")


class FenceDoctests(griffe.Extension):
    """Fence what begins with ``>>>``, up to the next empty line, and what stands indented after ``::``."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(docstring: str) -> str:
    """Put fences around the examples of *docstring*."""
    docstring = _EXAMPLE.sub(lambda example: f"```pycon\n{example[0]}\n```", docstring)
    return _LITERAL.sub(lambda block: f":\n\n```python\n{_dedented(block[1])}\n```\n", docstring)


def _dedented(block: str) -> str:
    return "\n".join(line[4:] for line in block.rstrip().splitlines())
