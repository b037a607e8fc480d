"""The command that stands in for Supabase while an app is tried out: fake."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import click

_BUCKET = "audio-files"
_PROJECTS = {
    "id": "text primary key",
    "user_id": "uuid not null",
    "project_data": "jsonb not null",
    "updated_at": "timestamptz not null default now()",
}
"""The host app's table that examples and migration know."""


@click.command(short_help="Serve a Supabase of its own, in memory, until stopped.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1 (any free one).")
@click.option(
    "--write-env",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the settings that lead to it to FILE, for --env-file; one that is there is overwritten.",
)
@click.option("--json", is_flag=True, expose_value=False, help="The first line is JSON in any case.")
def fake(port: int, write_env: Path | None) -> None:
    """Serve a Supabase of its own, in memory, until stopped: no account is needed, and all is gone afterwards.

    The first line is JSON: url, service_key, anon_key and jwt_secret. There is one bucket, "audio-files", private and
    without limits, and what audiostore schema apply puts into a database; and an empty table "projects", with the
    columns id, user_id, project_data and updated_at, as the example apps have it.
    """
    from audiostore.testing.supabase import FakeSupabase

    supabase = FakeSupabase()
    supabase.create_bucket(_BUCKET)
    supabase.apply_schema()
    supabase.table("projects", _PROJECTS, rls="user_id")
    stopped = threading.Event()

    def stop(signum: int, frame: object) -> None:
        stopped.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    try:
        server = supabase.serve(port=port)
    except OSError as error:
        raise click.ClickException(f"can't listen on port {port}: {error.strerror}") from error
    with server:
        facts = {
            "url": server.url,
            "service_key": supabase.service_key,
            "anon_key": supabase.anon_key,
            "jwt_secret": supabase.jwt_secret,
        }
        if write_env is not None:
            _write(write_env, facts)
        click.echo(json.dumps(facts))
        stopped.wait()


def _write(path: Path, facts: dict[str, Any]) -> None:
    settings = {
        "STORAGE_BACKEND": "supabase",
        "SUPABASE_URL": facts["url"],
        "SUPABASE_ANON_KEY": facts["anon_key"],
        "SUPABASE_SERVICE_KEY": facts["service_key"],
    }
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    # Whole, or not at all: somebody may be waiting for it.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(lines)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise click.ClickException(f"can't write {path}: {error.strerror}") from error
