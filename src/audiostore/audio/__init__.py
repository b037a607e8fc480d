"""Audio: know it, refuse it, shape it, measure it. Needs the extra: ``pip install "audiostore[audio]"``.

>>> from audiostore.audio import probe
>>> probe("take.wav").format
'wav'

Each name is loaded when it is first used; processors load no decoder into the app's own process.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from audiostore.errors import ConfigurationError

if TYPE_CHECKING:
    from audiostore.audio.accepting import Accept, Probed, accept, probed
    from audiostore.audio.converting import Convert, canonical, convert
    from audiostore.audio.info import AudioInfo, Cover
    from audiostore.audio.joining import join
    from audiostore.audio.levelling import normalise
    from audiostore.audio.loudness import PRESETS, AcxCheck, Finding, Loudness, Preset
    from audiostore.audio.metering import acx_check, measure
    from audiostore.audio.parts import Chapter, Joined, Mark, Part
    from audiostore.audio.probing import cover_of, probe
    from audiostore.audio.segments import put_segment, read_segment, segment
    from audiostore.audio.transcoding import transcode
    from audiostore.audio.waveform import peaks

__all__ = [
    "PRESETS",
    "Accept",
    "AcxCheck",
    "AudioInfo",
    "Chapter",
    "Convert",
    "Cover",
    "Finding",
    "Joined",
    "Loudness",
    "Mark",
    "Part",
    "Preset",
    "Probed",
    "accept",
    "acx_check",
    "canonical",
    "convert",
    "cover_of",
    "join",
    "measure",
    "normalise",
    "peaks",
    "probe",
    "probed",
    "put_segment",
    "read_segment",
    "segment",
    "transcode",
]

_HOMES = {
    "Accept": "accepting",
    "Probed": "accepting",
    "accept": "accepting",
    "probed": "accepting",
    "Convert": "converting",
    "canonical": "converting",
    "convert": "converting",
    "AudioInfo": "info",
    "Cover": "info",
    "join": "joining",
    "normalise": "levelling",
    "AcxCheck": "loudness",
    "Finding": "loudness",
    "Loudness": "loudness",
    "PRESETS": "loudness",
    "Preset": "loudness",
    "acx_check": "metering",
    "measure": "metering",
    "Chapter": "parts",
    "Joined": "parts",
    "Mark": "parts",
    "Part": "parts",
    "cover_of": "probing",
    "probe": "probing",
    "put_segment": "segments",
    "read_segment": "segments",
    "segment": "segments",
    "transcode": "transcoding",
    "peaks": "waveform",
}
_EXTRA = frozenset({"av", "pydub", "audioop", "pyaudioop"})


def __getattr__(name: str) -> Any:
    """Load a public name from its home (PEP 562), and say which extra is missing where one is."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise ConfigurationError('audio needs PyAV and pydub: pip install "audiostore[audio]"') from error
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
