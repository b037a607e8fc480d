"""The command line as a whole: its commands, in the order of a file's life, and its exit codes."""

from __future__ import annotations

import platform
import sqlite3
from importlib import metadata

import click

from audiostore._version import __version__
from audiostore.cli import accounts, books, bucket, doctor, fake, files, migrate, promote, schema, sound, upkeep
from audiostore.cli.outcomes import CommandLine, Outcome
from audiostore.cli.parsing import common_options
from audiostore.cli.session import Session, pass_session
from audiostore.cli.showing import facts, show

_SECTIONS = {
    "Files": (files.put, files.ls, files.show_file, files.get, files.url, files.rm),
    "Owners": (accounts.usage, accounts.quota),
    "Audio": (sound.probe, sound.peaks, sound.loudness),
    "Books": (books.export_book,),
    "Upkeep": (upkeep.sweep, upkeep.audit, promote.promote, migrate.migrate, doctor.doctor),
    "Supabase": (bucket.bucket, schema.schema),
    "Trying out": (fake.fake,),
}


class _Sections(CommandLine):
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self.commands)
        for title, commands in (*_SECTIONS.items(), ("About", (version,))):
            with formatter.section(title):
                room = formatter.width - formatter.current_indent - width - 4
                formatter.write_dl(
                    [(f"{each.name:{width}}", each.get_short_help_str(room)) for each in commands],
                )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(f"{outcome.value:>3}", outcome.meaning) for outcome in Outcome])


@click.group(cls=_Sections)
@click.version_option(__version__, prog_name="audiostore", message="%(prog)s %(version)s")
@common_options
@click.pass_context
def audiostore(context: click.Context) -> None:
    """Keep people's audio: put it into a store, list it, link to it, account for it, delete it.

    Which store: --root FOLDER, or else the settings in the environment (UPLOAD_FOLDER and others) or in --env-file.
    Without any of them it is the folder "uploads".
    """
    context.call_on_close(context.ensure_object(Session).close)


@click.command()
@common_options
@pass_session
def version(session: Session) -> None:
    """Tell the versions of audiostore, Python and SQLite."""
    versions = {
        "audiostore": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "click": metadata.version("click"),
    }
    show(versions, as_json=session.as_json, text=facts(versions.items()))


for _commands in (*_SECTIONS.values(), (version,)):
    for _command in _commands:
        audiostore.add_command(_command)
