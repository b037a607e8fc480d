"""The command that stands in for Supabase while an app is tried out: fake."""

from __future__ import annotations

import json
import signal
import threading

import click

_BUCKET = "audio-files"


@click.command(short_help="Serve a Supabase of its own, in memory, until stopped.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1 (any free one).")
def fake(port: int) -> None:
    """Serve a Supabase of its own, in memory, until stopped: no account is needed, and all is gone afterwards.

    The first line is JSON: url, service_key, anon_key and jwt_secret. There is one bucket, "audio-files", private.
    """
    from audiostore.testing.supabase import FakeSupabase

    supabase = FakeSupabase()
    supabase.create_bucket(_BUCKET)
    supabase.apply_schema()
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
        click.echo(json.dumps(facts))
        stopped.wait()
