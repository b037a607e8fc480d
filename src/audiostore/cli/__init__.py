"""The command line, ``audiostore``: needs the extra ``cli`` (click), and says so where it is missing."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run the command line with *words* (default: the process's own) and exit; ``audiostore --help`` has the codes."""
    try:
        from audiostore.cli.commands import audiostore
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write('audiostore: the command line needs click: pip install "audiostore[cli]"\n')
        sys.exit(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without é must not end a listing
    audiostore.main(words)
    sys.exit(0)
