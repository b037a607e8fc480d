"""The commands about an owner's room: usage, quota."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import click

from audiostore.cli.outcomes import CommandLine
from audiostore.cli.parsing import by, common_options, owner_argument, parse_count, parse_limit, parse_moment
from audiostore.cli.session import Session, pass_session
from audiostore.cli.showing import columns, counted, moment, show, shown, usage_lines
from audiostore.models import UNSET, Limits, Override, ProjectUsage, Quota
from audiostore.sizes import format_size


@click.command(short_help="Tell how full an owner is.")
@owner_argument
@click.option("--projects", is_flag=True, help="Also what each project takes; reads the record of every file.")
@common_options
@pass_session
def usage(session: Session, owner: str, *, projects: bool) -> None:
    """Tell what an owner has, and what is left."""
    store = session.store()
    told, lines = store.usage(owner), list[str]()
    answer: dict[str, Any] = {"owner": owner} | told.as_dict()
    answer |= {"pending": told.pending, "limits": _as_json(told.limits)}
    if projects:
        found = store.usage_by_project(owner)
        answer["projects"] = [{"project": each, "used": of.used, "files": of.files} for each, of in found.items()]
        lines = list(_project_lines(found, told.quota))
    show(answer, as_json=session.as_json, text=[*usage_lines(owner, told), *lines])


def _project_lines(found: Mapping[str | None, ProjectUsage], quota: int | None) -> Iterator[str]:
    rows: list[tuple[str, str, str, str]] = []
    for project, of in sorted(found.items(), key=lambda each: each[1].used, reverse=True):
        name = "  (no project)" if project is None else f"  {shown(project)}"
        percent = f"{100 * of.used / quota:.1f} %" if quota else ""
        rows.append((name, format_size(of.used), percent, f"in {counted(of.files, 'file')}"))
    return columns(rows, right=(1, 2))


@click.group(cls=CommandLine, short_help="Show or change how much an owner may keep.")
def quota() -> None:
    """Show or change how much an owner may keep. An owner's own numbers go above every plan and default."""


@quota.command("show", short_help="Tell an owner's limits, and where they come from.")
@owner_argument
@common_options
@pass_session
def show_quota(session: Session, owner: str) -> None:
    """Tell an owner's limits, and where they come from."""
    _show(owner, session.store().quota_of(owner), session)


@quota.command("set", short_help="Give an owner numbers of their own.")
@owner_argument
@click.option("--total", metavar="SIZE", callback=by(parse_limit), default=None, help='All files, e.g. "2 GB".')
@click.option("--per-file", metavar="SIZE", callback=by(parse_limit), default=None, help="The largest file.")
@click.option("--files", metavar="COUNT", callback=by(parse_count), default=None, help="The number of files.")
@click.option(
    "--until", metavar="WHEN", callback=by(parse_moment), help="For how long: 7d, 2027-01-31 (default: for good)."
)
@common_options
@click.pass_context
def set_quota(context: click.Context, /, owner: str, *, until: datetime | None, **numbers: int | None) -> None:
    """Give an owner numbers of their own, for good or for a while; "unlimited" is one too.

    They replace those that were set before; a number that is not given is the plan's. Nothing is deleted when the
    new quota is below what is used: it only refuses new files.
    """
    given = {name: value for name, value in numbers.items() if _is_given(context, name)}
    if not given:
        raise click.UsageError("give at least one of --total, --per-file, --files")
    session = context.ensure_object(Session)
    _show(owner, session.store(create=True).set_quota(owner, until=until, **given), session)


@quota.command("clear", short_help="Take an owner's own numbers back.")
@owner_argument
@common_options
@pass_session
def clear_quota(session: Session, owner: str) -> None:
    """Take an owner's own numbers back; the plan's count again."""
    store = session.store()
    store.clear_quota(owner)
    _show(owner, store.quota_of(owner), session)


def _is_given(context: click.Context, name: str) -> bool:
    # None is a number here: unlimited.
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _show(owner: str, quota: Quota, session: Session) -> None:
    answer = {
        "owner": owner,
        "limits": _as_json(quota.limits),
        "policy": None if quota.policy is None else _as_json(quota.policy),
        "override": None if quota.override is None else _override_as_json(quota.override),
    }
    show(answer, as_json=session.as_json, text=_lines(owner, quota))


def _lines(owner: str, quota: Quota) -> Iterator[str]:
    own, limits = quota.override, quota.limits
    until = f", until {moment(own.until)}" if own is not None and own.until is not None else ""
    yield shown(owner)
    rows: list[tuple[str, str, str]] = []
    for title, name, write in (
        ("total", "total", format_size),
        ("per file", "per_file", format_size),
        ("files", "files", _count),
    ):
        standing = "?" if quota.policy is None else write(getattr(quota.policy, name))
        mine = own is not None and getattr(own, name) is not UNSET
        rows.append((f"  {title}", write(getattr(limits, name)), f"own{until} (plan: {standing})" if mine else "plan"))
    if limits.types is not None:
        rows.append(("  types", ", ".join(sorted(limits.types)), "plan"))
    yield from columns(rows)


def _count(files: int | None) -> str:
    return "unlimited" if files is None else str(files)


def _as_json(limits: Limits) -> dict[str, Any]:
    return {each.name: getattr(limits, each.name) for each in fields(limits)} | {
        "types": None if limits.types is None else sorted(limits.types)
    }


def _override_as_json(override: Override) -> dict[str, Any]:
    numbers = {name: getattr(override, name) for name in ("total", "per_file", "files")}
    given = {name: value for name, value in numbers.items() if value is not UNSET}
    return given | {"until": None if override.until is None else override.until.isoformat()}
