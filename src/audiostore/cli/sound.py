"""The commands about what is in a recording, on this disk or in the store: probe, peaks, loudness."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiostore.cli.parsing import common_options, text_option
from audiostore.cli.session import Session, pass_session
from audiostore.cli.showing import columns, facts, share_bar, show, shown
from audiostore.errors import from_os_error

if TYPE_CHECKING:
    from audiostore.audio import AcxCheck, AudioInfo, Loudness

_source = click.argument("source", metavar="FILE|ID", type=str)
_owner = text_option("--owner", "Then FILE is the id of a file that this owner has in the store.")


@click.command(short_help="Tell what a recording is.")
@_source
@_owner
@click.option("--exact", is_flag=True, help="Decode it all, and count.")
@common_options
@pass_session
def probe(session: Session, /, source: str, *, owner: str | None, exact: bool) -> None:
    """Tell what a recording is: container, codec, duration, rate, channels, tags. By its content, not by its name."""
    from audiostore.audio import probe as probe_source

    with _opened(session, source, owner) as readable:
        info = probe_source(readable, exact=exact)
    show(info.as_dict(), as_json=session.as_json, text=facts(_described(info)))


@click.command(short_help="Make a waveform for a player.")
@_source
@_owner
@click.option("--points", type=click.IntRange(1, 1_000_000), default=1000, help="How many (1000).")
@click.option("--bits", type=click.Choice(["8", "16"]), default="8", help="Of each value (8).")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write there (default: print).")
@common_options
@pass_session
def peaks(session: Session, /, source: str, *, owner: str | None, points: int, bits: str, output: Path | None) -> None:
    """Make a waveform for a player: JSON as audiowaveform writes it."""
    from audiostore.audio import peaks as peaks_of

    with _opened(session, source, owner) as readable, share_bar("peaks", as_json=session.as_json) as progress:
        wave = peaks_of(readable, points=points, bits=int(bits), progress=progress)
    written = json.dumps(wave, separators=(",", ":"))
    if output is None:
        click.echo(written)
        return
    try:
        output.write_text(written + "\n")
    except OSError as error:
        raise from_os_error(error, str(output)) from error
    told = {"output": str(output), "length": wave["length"]}
    show(told, as_json=session.as_json, text=f"{shown(output)}  {wave['length']} points")


@click.command(short_help="Measure how loud a recording is.")
@_source
@_owner
@click.option("--acx", is_flag=True, help="Hold it against the limits that ACX publishes, too.")
@common_options
@pass_session
def loudness(session: Session, /, source: str, *, owner: str | None, acx: bool) -> None:
    """Measure how loud a recording is: EBU R128, true peak, RMS, noise floor, silence before and after."""
    from audiostore.audio import acx_check, measure

    with _opened(session, source, owner) as readable, share_bar("loudness", as_json=session.as_json) as progress:
        measured = measure(readable, progress=progress)
        check = acx_check(readable) if acx else None
    answer: dict[str, Any] = dict(measured.as_dict())
    if check is not None:
        answer["acx"] = check.as_dict()
    show(answer, as_json=session.as_json, text=_levels(measured, check))


@contextmanager
def _opened(session: Session, source: str, owner: str | None) -> Generator[Any]:
    if owner is None:
        yield source
        return
    with session.store().open(source, owner=owner) as stored:
        yield stored


def _described(info: AudioInfo) -> Iterator[tuple[str, object]]:
    yield "format", info.format
    yield "container", info.container
    yield "codec", info.codec
    yield "duration", f"{info.duration:.3f} s{'' if info.exact else ' (by its headers)'}"
    yield "sample rate", f"{info.sample_rate} Hz"
    yield "channels", info.channels
    if info.bit_depth is not None:
        yield "bit depth", info.bit_depth
    if info.bit_rate is not None:
        yield "bit rate", f"{round(info.bit_rate / 1000)} kbit/s"
    if info.cover is not None:
        yield "cover", info.cover.content_type
    for name, value in info.tags.items():
        yield f"tag {name}", value


def _levels(measured: Loudness, check: AcxCheck | None) -> Iterator[str]:
    yield from facts(
        (
            ("integrated", f"{measured.integrated:.1f} LUFS"),
            ("range", f"{measured.range:.1f} LU"),
            ("true peak", f"{measured.true_peak:.1f} dBTP"),
            ("RMS", f"{measured.rms:.1f} dB"),
            ("noise floor", f"{measured.noise_floor:.1f} dB"),
            ("silence", f"{measured.head:.2f} s before, {measured.tail:.2f} s after"),
        )
    )
    if check is None:
        return
    yield "ACX check" + ("" if check.ok else ": not within the published limits")
    yield from columns([("ok" if each.ok else "no", each.name, each.value, each.wanted) for each in check.findings])
