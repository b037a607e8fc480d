"""From the environment to parts, through one door: nothing else in the library reads ``os.environ``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from audiostore.errors import ConfigurationError, from_os_error
from audiostore.models import Limits
from audiostore.protocols import Catalog, Processor, QuotaPolicy
from audiostore.quota import CatalogQuota, FixedQuota, TieredQuota
from audiostore.sizes import parse_size

if TYPE_CHECKING:
    from audiostore.backends.local import LocalBackend
    from audiostore.backends.supabase import SupabaseBackend
    from audiostore.catalogs.postgres import PostgresCatalog
    from audiostore.catalogs.sqlite import SQLiteCatalog


EMBEDDED = "catalog.sqlite3"
"""The file of the embedded catalog, in the store's own folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable: the docs' table is made of these."""

    name: str
    default: str | None
    meaning: str
    secret: bool = False


VARIABLES = (
    Variable(name="STORAGE_BACKEND", default="local", meaning="Where new files go: `local` or `supabase`."),
    Variable(
        name="STORAGE_FALLBACK",
        default="none",
        meaning="`local` takes new files in while Supabase is away; `audiostore promote` brings them over.",
    ),
    Variable(name="UPLOAD_FOLDER", default="uploads", meaning="The folder of the local backend, catalog included."),
    Variable(name="EXPORT_FOLDER", default="exports", meaning="The folder for exported books."),
    Variable(
        name="MAX_UPLOAD_SIZE",
        default=None,
        meaning="The largest request the app takes, e.g. `100mb`; never below `MAX_FILE_SIZE_MB` if both are set.",
    ),
    Variable(name="MAX_FILE_SIZE_MB", default="50", meaning="The largest file, in MB of 1024 x 1024 bytes."),
    Variable(name="FREE_USER_QUOTA_MB", default="500", meaning="What a free owner may keep, in MB; `unlimited` too."),
    Variable(name="PAID_USER_QUOTA_MB", default="5000", meaning="What a paid owner may keep, in MB; `unlimited` too."),
    Variable(name="SUPABASE_URL", default=None, meaning="The Supabase project, `https://….supabase.co`."),
    Variable(name="SUPABASE_ANON_KEY", default=None, meaning="Its public key.", secret=True),
    Variable(name="SUPABASE_SERVICE_KEY", default=None, meaning="Its service key; keep it on servers.", secret=True),
    Variable(name="SUPABASE_BUCKET", default="audio-files", meaning="The private bucket that holds the files."),
    Variable(name="DATABASE_URL", default=None, meaning="A Postgres of one's own for the catalog.", secret=True),
    Variable(
        name="AUDIOSTORE_SECRET",
        default=None,
        meaning="Signs the links that the app serves: 16 characters at least; several, oldest first, split by commas.",
        secret=True,
    ),
    Variable(name="AUDIOSTORE_BASE_URL", default="/audio", meaning="Where the app serves those links."),
    Variable(
        name="AUDIO_FORMAT",
        default=None,
        meaning="Store every recording as `wav`, `mp3`, `m4a`, `flac` or `opus`; not set, or `off`: as it comes.",
    ),
    Variable(name="AUDIO_SAMPLE_RATE", default="44100", meaning="Its sample rate in Hz (opus has 48000)."),
    Variable(name="AUDIO_CHANNELS", default="1", meaning="Its channels: 1 or 2."),
    Variable(name="AUDIO_BIT_RATE", default=None, meaning="Its bits per second, e.g. `128000` (default: the usual)."),
    Variable(
        name="AUDIO_LOUDNESS", default=None, meaning="Its loudness: `podcast`, `ebu_r128` or `acx`; not set: unchanged."
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The environment, parsed. Sizes are bytes; ``None`` is unlimited for limits and "not set" for the rest."""

    storage_backend: str
    storage_fallback: str
    upload_folder: Path
    export_folder: Path
    max_file_size: int | None
    free_quota: int | None
    paid_quota: int | None
    supabase_url: str | None
    supabase_anon_key: str | None = field(repr=False)
    supabase_service_key: str | None = field(repr=False)
    supabase_bucket: str
    database_url: str | None = field(repr=False)
    secret: tuple[str, ...] | None = field(repr=False)
    base_url: str
    process: Processor | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Parse *environ* (default: the process's own). An empty variable counts as not set.

        Raises:
            ConfigurationError: a variable that is missing, malformed or contradicts another; the message names it.

        """
        env = _Environment(os.environ if environ is None else environ)  # noqa: TID251 - the one door
        backend = env.choice("STORAGE_BACKEND", "local", "supabase")
        if backend == "supabase":
            env.require("SUPABASE_URL", "SUPABASE_SERVICE_KEY", because="STORAGE_BACKEND=supabase")
        return cls(
            storage_backend=backend,
            storage_fallback=env.choice("STORAGE_FALLBACK", "none", "local"),
            upload_folder=Path(env.text("UPLOAD_FOLDER")),
            export_folder=Path(env.text("EXPORT_FOLDER")),
            max_file_size=_max_file_size(env),
            free_quota=env.megabytes("FREE_USER_QUOTA_MB"),
            paid_quota=env.megabytes("PAID_USER_QUOTA_MB"),
            supabase_url=env.url("SUPABASE_URL"),
            supabase_anon_key=env.get("SUPABASE_ANON_KEY"),
            supabase_service_key=env.get("SUPABASE_SERVICE_KEY"),
            supabase_bucket=env.text("SUPABASE_BUCKET"),
            database_url=env.get("DATABASE_URL"),
            secret=env.secrets("AUDIOSTORE_SECRET"),
            base_url=env.text("AUDIOSTORE_BASE_URL"),
            process=_process(env),
        )

    def parts(self, *, tier_of: Callable[[str], str] | None = None) -> dict[str, Any]:
        """Make the parts that ``AudioStore`` takes.

        The catalog does not depend on where new files go: it is Postgres as soon as one is known, so that a switch of
        ``STORAGE_BACKEND``, there and back, leaves every file found, charged and deletable.
        """
        local, remote = local_backend(self.upload_folder), self._supabase()
        supabase_first = self.storage_backend == "supabase" and remote is not None
        first, *further = (remote, local) if supabase_first else (local, remote)
        return {
            "backend": first,
            "backends": [each for each in further if each is not None],
            "fallback": local if supabase_first and self.storage_fallback == "local" else None,
            "catalog": self._catalog(),
            "quota": self.quota(tier_of),
            "secret": self._secret(),
            "base_url": self.base_url,
            "process": self.process,
        }

    @property
    def catalog(self) -> Literal["postgres", "supabase", "sqlite"]:
        """Which catalog these settings choose: a Postgres by its DSN, the project's own, or the embedded one."""
        if self.database_url is not None:
            return "postgres"
        return "sqlite" if self.supabase_url is None or self.supabase_service_key is None else "supabase"

    def _catalog(self) -> Catalog:
        if self.catalog == "sqlite":
            return embedded_catalog(self.upload_folder)
        from audiostore.catalogs.postgres import PostgresCatalog

        if self.database_url is not None:
            catalog = PostgresCatalog.connect(self.database_url)
        else:
            catalog = PostgresCatalog.from_supabase(self.supabase_url, self.supabase_service_key)
        take_over_embedded(catalog, self.upload_folder)
        return catalog

    def _supabase(self) -> SupabaseBackend | None:
        """Make the Supabase backend if it is configured: files that went there play on, wherever new ones go."""
        if self.supabase_url is None or self.supabase_service_key is None:
            return None
        from audiostore.backends.supabase import SupabaseBackend

        return SupabaseBackend(self.supabase_url, self.supabase_service_key, self.supabase_bucket)

    def _secret(self) -> list[str] | str | None:
        if self.secret:
            return list(self.secret)
        # Several machines may share one bucket: a secret that only this disk knows would make links that they refuse.
        return None if self.storage_backend == "supabase" else local_secret(self.upload_folder)

    def quota(self, tier_of: Callable[[str], str] | None = None) -> QuotaPolicy:
        """Make the policy: everyone is free, unless *tier_of* says ``"paid"``.

        A Postgres has plans of its own, which ``audiostore schema apply`` fills from the environment; without *tier_of*
        they alone count.
        """
        if tier_of is None and self.catalog != "sqlite":
            return CatalogQuota()
        free = Limits(total=self.free_quota, per_file=self.max_file_size)
        paid = Limits(total=self.paid_quota, per_file=self.max_file_size)
        if tier_of is None:
            return FixedQuota(free.total, per_file=free.per_file)
        return TieredQuota(tier_of, {"free": free, "paid": paid})


class _Environment:
    """A mapping of text, read with the defaults of ``VARIABLES``; every complaint names its variable."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> str | None:
        return (self._environ.get(name) or "").strip() or _DEFAULTS[name]

    def is_set(self, name: str) -> bool:
        return bool((self._environ.get(name) or "").strip())

    def text(self, name: str) -> str:
        value = self.get(name)
        assert value is not None  # only asked for variables that have a default
        return value

    def choice(self, name: str, *words: str) -> str:
        value = self.text(name).lower()
        if value not in words:
            raise ConfigurationError(f"{name} must be {' or '.join(words)}, not {value!r}")
        return value

    def require(self, *names: str, because: str) -> None:
        if missing := [name for name in names if not self.is_set(name)]:
            raise ConfigurationError(f"{because} needs {' and '.join(missing)}")

    def size(self, name: str, unit: str = "") -> int | None:
        value = self.get(name)
        if value is None:
            return None
        try:
            return parse_size(value if not unit or not value.replace(".", "", 1).isdigit() else f"{value} {unit}")
        except ValueError as error:
            raise ConfigurationError(f"{name} is no size: {value!r}") from error

    def whole(self, name: str) -> int | None:
        value = self.get(name)
        if value is not None and not (value.isdecimal() and value.isascii()):
            raise ConfigurationError(f"{name} is no whole number: {value!r}")
        return None if value is None else int(value)

    def megabytes(self, name: str) -> int | None:
        return None if self.text(name).lower() == "unlimited" else self.size(name, "MB")

    def url(self, name: str) -> str | None:
        from urllib.parse import urlsplit

        value = self.get(name)
        if value is not None and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).netloc):
            raise ConfigurationError(f"{name} is no http(s) URL")
        return value

    def secrets(self, name: str) -> tuple[str, ...] | None:
        value = self.get(name)
        return None if value is None else tuple(each.strip() for each in value.split(",") if each.strip())


_DEFAULTS = {variable.name: variable.default for variable in VARIABLES}


def _max_file_size(env: _Environment) -> int | None:
    file, request = env.megabytes("MAX_FILE_SIZE_MB"), env.size("MAX_UPLOAD_SIZE")
    if request is None or (file is not None and file <= request):
        return file
    if env.is_set("MAX_FILE_SIZE_MB"):
        raise ConfigurationError("MAX_FILE_SIZE_MB is above MAX_UPLOAD_SIZE, so such a file could never be sent")
    return request


def _process(env: _Environment) -> Processor | None:
    wished = (env.get("AUDIO_FORMAT") or "off").lower()
    wishes: dict[str, Any] = {
        "sample_rate": env.whole("AUDIO_SAMPLE_RATE"),
        "channels": env.whole("AUDIO_CHANNELS"),
        "bit_rate": env.whole("AUDIO_BIT_RATE"),
        "loudness": env.get("AUDIO_LOUDNESS"),
    }
    if wished == "off":
        return None
    from audiostore.audio import canonical

    try:
        return canonical(wished, **wishes)
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(f"AUDIO_FORMAT and its companions: {error}") from error


def local_backend(root: str | os.PathLike[str]) -> LocalBackend:
    """Make the backend of files below *root*."""
    from audiostore.backends.local import LocalBackend

    return LocalBackend(root)


def embedded_catalog(root: str | os.PathLike[str]) -> SQLiteCatalog:
    """Make the embedded default, in ``root/.audiostore``."""
    from audiostore.catalogs.sqlite import SQLiteCatalog

    return SQLiteCatalog(_own_folder(root) / EMBEDDED)


def take_over_embedded(catalog: Catalog, root: str | os.PathLike[str]) -> None:
    """Let *catalog* take over what the embedded one in *root* holds, if there was one."""
    from audiostore.catalogs.sqlite import SQLiteCatalog
    from audiostore.catalogs.succession import succeed

    succeed(catalog, Path(root) / ".audiostore" / EMBEDDED, SQLiteCatalog)


def supabase_parts(client: Any, bucket: str) -> tuple[SupabaseBackend, PostgresCatalog]:
    """Make backend and catalog from an app's own ``supabase.Client``."""
    from audiostore.backends.supabase import SupabaseBackend
    from audiostore.catalogs.postgres import PostgresCatalog

    return SupabaseBackend(client=client, bucket=bucket), PostgresCatalog.from_supabase(client=client)


def local_secret(root: str | os.PathLike[str]) -> str:
    """Read the secret of the store in *root*, or make one, exclusively: of many processes, one makes it."""
    import secrets

    path = _own_folder(root) / "secret"
    try:
        if not path.exists():
            fresh = path.with_name(f"secret.{os.getpid()}.{secrets.token_hex(4)}")
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(secrets.token_urlsafe(32))
                file.flush()
                os.fsync(fd)
            _publish_once(fresh, path)
        secret = path.read_text()
    except OSError as error:
        raise from_os_error(error, str(path)) from error
    if not secret:
        raise ConfigurationError(f"the secret in {path} is empty; remove the file to have a new one made")
    return secret


def _publish_once(fresh: Path, path: Path) -> None:
    try:
        os.link(fresh, path)  # unlike a rename, it never takes another process's secret away
    except FileExistsError:
        pass
    except OSError:
        # No hard links here: O_EXCL still lets only one of us make it, though a reader may come too early once.
        with path.open("x") as file:
            path.chmod(0o600)
            file.write(fresh.read_text())
    finally:
        fresh.unlink()


def _own_folder(root: str | os.PathLike[str]) -> Path:
    folder = Path(root) / ".audiostore"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, str(folder)) from error
    return folder
