"""Questions before what can't be taken back."""

from __future__ import annotations

import sys

import click

from audiostore.cli.session import Session


def confirmed(question: str, session: Session) -> bool:
    """Ask; where nobody is there to answer, that is wrong usage."""
    if session.as_json or not someone_is_there():
        raise click.UsageError("nobody is there to be asked: add --yes")
    return click.confirm(question, err=True)


def someone_is_there() -> bool:
    """Tell whether a question would be read."""
    return sys.stdin.isatty()
