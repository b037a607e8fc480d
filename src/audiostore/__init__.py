"""Keep people's audio: one store over local disk and Supabase, with quotas that hold and links that are signed.

>>> from audiostore import AudioStore
>>> store = AudioStore.local("uploads")

Importing this package does no I/O, reads no environment and loads nothing but the standard library.
"""

from audiostore._version import __version__ as __version__
from audiostore.errors import (
    AlreadyExists,
    AudioStoreError,
    ChecksumMismatch,
    ConfigurationError,
    FileTooLarge,
    InvalidKey,
    LinkExpired,
    LinkInvalid,
    NotFound,
    NotSupported,
    PermissionDenied,
    QuotaExceeded,
    ReservationExpired,
    StorageFull,
    Unavailable,
    UnsupportedAudio,
)
from audiostore.events import Event
from audiostore.keys import Key
from audiostore.models import (
    AudioFile,
    AuditReport,
    Drift,
    Limits,
    ObjectStat,
    Override,
    Place,
    Quota,
    SignedUrl,
    Staged,
    SweepReport,
    Upload,
    UploadGrant,
    Usage,
)
from audiostore.paths import ChapterSectionPath, TemplatePath
from audiostore.quota import CatalogQuota, FixedQuota, TieredQuota, Unlimited
from audiostore.serving import Reply, serve
from audiostore.sizes import format_size, parse_size
from audiostore.store import AudioStore

__all__ = [
    "AlreadyExists",
    "AudioFile",
    "AudioStore",
    "AudioStoreError",
    "AuditReport",
    "CatalogQuota",
    "ChapterSectionPath",
    "ChecksumMismatch",
    "ConfigurationError",
    "Drift",
    "Event",
    "FileTooLarge",
    "FixedQuota",
    "InvalidKey",
    "Key",
    "Limits",
    "LinkExpired",
    "LinkInvalid",
    "NotFound",
    "NotSupported",
    "ObjectStat",
    "Override",
    "PermissionDenied",
    "Place",
    "Quota",
    "QuotaExceeded",
    "Reply",
    "ReservationExpired",
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
]
