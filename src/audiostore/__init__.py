"""Keep people's audio: one store over local disk and Supabase, with quotas that hold and links that are signed.

>>> from audiostore import AudioStore
>>> store = AudioStore.local("uploads")

Importing this package does no I/O and reads no environment; each name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from audiostore._version import __version__ as __version__

if TYPE_CHECKING:
    from audiostore.aio import AsyncAudioStore, AsyncByteStream, AsyncFile, AsyncReply
    from audiostore.errors import (
        AlreadyExists,
        AudioStoreError,
        Cancelled,
        ChecksumMismatch,
        ConfigurationError,
        FileTooLarge,
        InvalidBook,
        InvalidKey,
        LinkExpired,
        LinkInvalid,
        NotFound,
        NotSupported,
        PermissionDenied,
        QuotaExceeded,
        ReservationExpired,
        SectionsMissing,
        StorageFull,
        Unavailable,
        UnsupportedAudio,
    )
    from audiostore.events import Event
    from audiostore.keys import Key
    from audiostore.models import (
        AudioFile,
        Limits,
        ObjectStat,
        Override,
        Place,
        ProjectUsage,
        Quota,
        ResumableGrant,
        SignedUrl,
        Staged,
        Upload,
        UploadGrant,
        Usage,
    )
    from audiostore.paths import ChapterSectionPath, TemplatePath
    from audiostore.quota import CatalogQuota, FixedQuota, TieredQuota, Unlimited
    from audiostore.reports import AuditReport, Batch, Drift, Outcome, Promotion, SweepReport
    from audiostore.serving import Reply, serve, serve_file
    from audiostore.sizes import format_size, parse_size
    from audiostore.sources import NewFile
    from audiostore.store import AudioStore

__all__ = [
    "AlreadyExists",
    "AsyncAudioStore",
    "AsyncByteStream",
    "AsyncFile",
    "AsyncReply",
    "AudioFile",
    "AudioStore",
    "AudioStoreError",
    "AuditReport",
    "Batch",
    "Cancelled",
    "CatalogQuota",
    "ChapterSectionPath",
    "ChecksumMismatch",
    "ConfigurationError",
    "Drift",
    "Event",
    "FileTooLarge",
    "FixedQuota",
    "InvalidBook",
    "InvalidKey",
    "Key",
    "Limits",
    "LinkExpired",
    "LinkInvalid",
    "NewFile",
    "NotFound",
    "NotSupported",
    "ObjectStat",
    "Outcome",
    "Override",
    "PermissionDenied",
    "Place",
    "ProjectUsage",
    "Promotion",
    "Quota",
    "QuotaExceeded",
    "Reply",
    "ReservationExpired",
    "ResumableGrant",
    "SectionsMissing",
    "SignedUrl",
    "Staged",
    "StorageFull",
    "SweepReport",
    "TemplatePath",
    "TieredQuota",
    "Unavailable",
    "Unlimited",
    "UnsupportedAudio",
    "Upload",
    "UploadGrant",
    "Usage",
    "format_size",
    "parse_size",
    "serve",
    "serve_file",
]

_HOMES = {
    "AsyncAudioStore": "audiostore.aio",
    "AsyncByteStream": "audiostore.aio",
    "AsyncFile": "audiostore.aio",
    "AsyncReply": "audiostore.aio",
    "AlreadyExists": "audiostore.errors",
    "AudioStoreError": "audiostore.errors",
    "Cancelled": "audiostore.errors",
    "ChecksumMismatch": "audiostore.errors",
    "ConfigurationError": "audiostore.errors",
    "FileTooLarge": "audiostore.errors",
    "InvalidBook": "audiostore.errors",
    "InvalidKey": "audiostore.errors",
    "LinkExpired": "audiostore.errors",
    "LinkInvalid": "audiostore.errors",
    "NotFound": "audiostore.errors",
    "NotSupported": "audiostore.errors",
    "PermissionDenied": "audiostore.errors",
    "QuotaExceeded": "audiostore.errors",
    "ReservationExpired": "audiostore.errors",
    "SectionsMissing": "audiostore.errors",
    "StorageFull": "audiostore.errors",
    "Unavailable": "audiostore.errors",
    "UnsupportedAudio": "audiostore.errors",
    "Event": "audiostore.events",
    "Key": "audiostore.keys",
    "AudioFile": "audiostore.models",
    "AuditReport": "audiostore.reports",
    "Batch": "audiostore.reports",
    "Drift": "audiostore.reports",
    "Limits": "audiostore.models",
    "ObjectStat": "audiostore.models",
    "Override": "audiostore.models",
    "Place": "audiostore.models",
    "Outcome": "audiostore.reports",
    "Promotion": "audiostore.reports",
    "ProjectUsage": "audiostore.models",
    "Quota": "audiostore.models",
    "ResumableGrant": "audiostore.models",
    "SignedUrl": "audiostore.models",
    "Staged": "audiostore.models",
    "SweepReport": "audiostore.reports",
    "Upload": "audiostore.models",
    "UploadGrant": "audiostore.models",
    "Usage": "audiostore.models",
    "ChapterSectionPath": "audiostore.paths",
    "TemplatePath": "audiostore.paths",
    "CatalogQuota": "audiostore.quota",
    "FixedQuota": "audiostore.quota",
    "TieredQuota": "audiostore.quota",
    "Unlimited": "audiostore.quota",
    "Reply": "audiostore.serving",
    "serve": "audiostore.serving",
    "serve_file": "audiostore.serving",
    "format_size": "audiostore.sizes",
    "parse_size": "audiostore.sizes",
    "NewFile": "audiostore.sources",
    "AudioStore": "audiostore.store",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home (PEP 562): a worker that only signs links need not load the rest."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
