"""The commands about the bucket on Supabase: bucket show, bucket ensure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import click

from audiostore.backends.supabase import SupabaseBackend
from audiostore.backends.supabase.bucket import AUDIO_TYPES, BucketReport, Differences
from audiostore.cli.asking import confirmed
from audiostore.cli.outcomes import CommandLine, Outcome
from audiostore.cli.parsing import by, common_options, parse_limit, yes_option
from audiostore.cli.project import Project
from audiostore.cli.session import Session
from audiostore.cli.showing import columns, show, shown
from audiostore.errors import ConfigurationError, NotFound
from audiostore.sizes import format_size

_FEW = 2
_TITLES = {"public": "public", "file_size_limit": "largest file", "allowed_mime_types": "types"}


def _wanted_options(command: Any) -> Any:
    size = click.option(
        "--max-file-size",
        metavar="SIZE",
        callback=by(parse_limit),
        help='The largest file, e.g. "100 MB", or unlimited.  [default: the setting MAX_FILE_SIZE_MB]',
    )
    types = click.option(
        "--type",
        "types",
        metavar="TYPE",
        multiple=True,
        help="A media type it takes, e.g. audio/*; repeatable.  [default: audio, and what may hold it]",
    )
    return size(types(command))


@click.group(cls=CommandLine, short_help="Look at the bucket on Supabase, or make it.")
def bucket() -> None:
    """Look at the bucket on Supabase, or make it: private, with a limit for one file, and for audio."""


@bucket.command("show", short_help="Compare the bucket with what it should be.")
@_wanted_options
@common_options
@click.pass_context
def show_bucket(context: click.Context, *, max_file_size: int | None, types: tuple[str, ...]) -> None:
    """Compare the bucket with what it should be; changes nothing.

    Exit code 3 if it is missing, 6 if it is public or refuses what it should take. One that takes more is no mistake.
    """
    with closing(_backend(context)) as backend:
        report = backend.ensure_bucket(**_wanted(context, max_file_size, types), change=False)
    if not report.existed:
        raise NotFound(f"bucket {report.bucket} (audiostore bucket ensure makes it)")
    _tell(context, report)
    if not report.ok:
        context.exit(Outcome.FINDINGS)


@bucket.command("ensure", short_help="Make the bucket, or compare the one that is there.")
@click.option("--fix", is_flag=True, help="Also change what differs in a bucket that is there.")
@yes_option
@_wanted_options
@common_options
@click.pass_context
def ensure_bucket(
    context: click.Context, *, fix: bool, yes: bool, max_file_size: int | None, types: tuple[str, ...]
) -> None:
    """Make the bucket if it is missing; with --fix, change what differs in one that is there.

    Says first what it would do, and asks. Without --fix, what differs is told; exit code 6 if it does harm.
    """
    session, wanted = context.ensure_object(Session), _wanted(context, max_file_size, types)
    with closing(_backend(context)) as backend:
        report = backend.ensure_bucket(**wanted, change=False)
        if not report.existed or (fix and report.differences):
            if not session.as_json:
                click.echo("\n".join(_plan(report)), err=True)
            if not (yes or confirmed("Do it?", session)):
                click.echo("nothing is changed", err=True)
                return
            report = backend.ensure_bucket(**wanted, fix=fix)
    _tell(context, report)
    if not report.ok:
        context.exit(Outcome.FINDINGS)


def _backend(context: click.Context) -> SupabaseBackend:
    settings = context.ensure_object(Session).settings
    if settings is None:
        raise click.UsageError("--root is a store on disk; the bucket's project is in the settings", ctx=context)
    project = Project.of(settings)
    if project is None:
        raise ConfigurationError("no Supabase project: SUPABASE_URL and SUPABASE_SERVICE_KEY are not set")
    return project.backend(project.service_key)


def _wanted(context: click.Context, limit: int | None, types: Sequence[str]) -> dict[str, Any]:
    given = context.get_parameter_source("max_file_size") is click.core.ParameterSource.COMMANDLINE
    settings = context.ensure_object(Session).settings
    standing = None if settings is None else settings.max_file_size
    return {"max_file_size": limit if given else standing, "types": types or AUDIO_TYPES}


def _tell(context: click.Context, report: BucketReport) -> None:
    answer = {
        "bucket": report.bucket,
        "ok": report.ok,
        "existed": report.existed,
        "created": report.created,
        "changed": _as_json(report.changed),
        "differences": _as_json(report.differences),
        "wanted": dict(report.wanted),
    }
    show(answer, as_json=context.ensure_object(Session).as_json, text=_lines(report))


def _as_json(differences: Differences) -> dict[str, list[Any]]:
    return {name: list(pair) for name, pair in differences.items()}


def _plan(report: BucketReport) -> Iterator[str]:
    name = shown(report.bucket)
    if not report.existed:
        yield f"will make bucket {name}:"
        yield from columns([(f"  {_TITLES[each]}", _written(each, value)) for each, value in report.wanted.items()])
        return
    yield f"will change bucket {name}:"
    yield from columns(
        [
            (f"  {_TITLES[each]}", f"from {_written(each, found)}", f"to {_written(each, wanted)}")
            for each, (found, wanted) in report.differences.items()
        ]
    )


def _lines(report: BucketReport) -> Iterator[str]:
    name = shown(report.bucket)
    done = "made" if report.created else "changed" if report.changed else ""
    if not report.differences:
        yield f"bucket {name} is {done or 'there'}: " + ", ".join(
            (
                "private",
                f"files up to {_written('file_size_limit', report.wanted['file_size_limit'])}",
                f"types {_shortly('allowed_mime_types', report.wanted['allowed_mime_types'])}",
            )
        )
        return
    verdict = "differs, without harm" if report.ok else "is not as it should be"
    yield f"bucket {name} {verdict} (audiostore bucket ensure --fix changes it):"
    faults = report.faults
    yield from columns(
        [
            (
                "  fix" if each in faults else "  ok",
                _TITLES[each],
                f"is {_shortly(each, found)}",
                f"asked for: {_shortly(each, wanted)}",
            )
            for each, (found, wanted) in report.differences.items()
        ]
    )


def _written(name: str, value: Any) -> str:
    if name == "public":
        return "yes" if value else "no"
    if value is None:
        return "without limit" if name == "file_size_limit" else "any"
    return format_size(value) if name == "file_size_limit" else shown(", ".join(value))


def _shortly(name: str, value: Any) -> str:
    if name == "allowed_mime_types" and value is not None and len(value) > _FEW:
        return f"{_written(name, value[:_FEW])} and {len(value) - _FEW} more"
    return _written(name, value)
