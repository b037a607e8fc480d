"""promote: files come to where new ones go."""

from __future__ import annotations

from collections.abc import Iterator

import click

from audiostore.cli.outcomes import described, outcome_of
from audiostore.cli.parsing import common_options, text_option
from audiostore.cli.session import Session
from audiostore.cli.showing import counted, show, shown, tally
from audiostore.reports import Promotion
from audiostore.sizes import format_size


@click.command(short_help="Bring files to the backend where new ones go.")
@text_option("--owner", "Only this owner's.")
@text_option("--from", "Only those of the backend with this name.")
@common_options
@click.pass_context
def promote(context: click.Context, /, owner: str | None, **words: str | None) -> None:
    """Bring files to the backend where new ones go: what a fallback took in, or what an earlier setting left.

    Ids stay, nothing is charged, and the bytes are verified before the old ones go. A file that can't be moved now is
    told and left for the next time; the exit code then says why. Stopped midway, it goes on where it was.
    """
    session = context.ensure_object(Session)
    moved: list[Promotion] = []
    failed: list[Promotion] = []
    with tally("promoted", as_json=session.as_json) as told:
        for each in session.store().promote_all(owner, source=words["from"]):
            (failed if each.error else moved).append(each)
            told(len(moved))
    size = sum(each.file.size for each in moved)
    failures = [{"id": each.file.id, "owner": each.file.owner} | described(each.error) for each in failed if each.error]
    answer = {"promoted": len(moved), "bytes": size, "failed": failures}
    show(answer, as_json=session.as_json, text=_promoted(len(moved), size, len(failed)))
    for each in failed:
        click.echo(
            f"audiostore: {each.file.id} stays in {shown(each.file.backend)}: {shown(str(each.error))}", err=True
        )
    if failed:
        context.exit(min(outcome_of(each.error) for each in failed if each.error is not None))


def _promoted(count: int, size: int, failed: int) -> Iterator[str]:
    left = f", {counted(failed, 'file')} left" if failed else ""
    yield f"promoted {counted(count, 'file')}, {format_size(size)}{left}" if count or failed else "nothing to do"
