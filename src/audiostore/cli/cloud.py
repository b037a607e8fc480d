"""What ``doctor`` looks at in a Supabase project: address, clock, keys, bucket, who may do what there."""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from audiostore.access import STORAGE
from audiostore.backends.supabase import SupabaseBackend
from audiostore.cli.checks import Check, Finding, Repair, examined
from audiostore.cli.project import HOSTED, KeyFacts, Project
from audiostore.cli.showing import moment
from audiostore.cli.trip import sample
from audiostore.errors import AudioStoreError, ConfigurationError, NotFound, PermissionDenied, Unavailable
from audiostore.keys import Key
from audiostore.models import Staged
from audiostore.sizes import format_size
from audiostore.store import AudioStore
from audiostore.transport import Answer, Call, Transport

REACHED: Final = frozenset({"settings", "server", "service key"})
"""Without these nothing of the project can be asked."""
NEEDED: Final = REACHED | {"bucket"}
"""Without these a round trip would only tell the same again, later."""
_SKEW: Final = timedelta(seconds=30)
_SOON: Final = timedelta(days=14)
_FOLDER: Final = "audiostore-doctor"
_HOUR: Final = timedelta(hours=1)
_KEYS: Final = "Project Settings > API Keys"
_ROLES: Final = {"anon": "the public key", "service_role": "the service key", "authenticated": "a user's token"}


def holds_new_files(store: AudioStore) -> bool:
    """Tell whether new files of *store* go to Supabase."""
    return isinstance(store.backend, SupabaseBackend)


def examine(project: Project) -> Iterator[Check]:
    """Look at a project. What can't be seen because something before it is wrong is left out."""
    for name, look in _FIRST:
        yield (check := examined(name, look, project))
        if not check.ok and name in NEEDED:
            return
    yield (found := examined("bucket", _bucket, project))
    if found.ok or found.detail == _PUBLIC:
        yield examined("bucket limits", _limits, project)
        yield examined("row security", _row_security, project)


def _settings(project: Project) -> str:
    parts = urlsplit(project.url)
    if project.host in {"supabase.com", "app.supabase.com", "www.supabase.com"}:
        raise Finding(
            "SUPABASE_URL is a page of the dashboard", f"take the Project URL, https://YOUR-PROJECT.{HOSTED} ({_KEYS})"
        )
    if parts.path.rstrip("/") not in {"", STORAGE} or parts.query or parts.fragment:
        raise Finding("SUPABASE_URL holds more than the project's address", f"{parts.scheme}://{parts.netloc}")
    if parts.scheme == "http" and project.host.endswith(f".{HOSTED}"):
        raise Finding("SUPABASE_URL is not https, so the keys can be read on the way", f"https://{project.host}")
    return f"{project.host}, bucket {project.bucket!r}"


def _server(project: Project) -> str:
    try:
        offers = "resumable uploads" if "tus-version" in _greet(project).headers else "uploads"
    except Unavailable:
        raise
    except AudioStoreError:
        return "answers"  # a gateway may not let this one through; whether storage is behind it, the key will tell
    return f"answers, and offers {offers}"


def _clock(project: Project) -> str:
    try:
        ahead = datetime.now(UTC) - parsedate_to_datetime(_greet(project).headers.get("date", ""))
    except Unavailable:
        raise
    except (ValueError, AudioStoreError):
        return "the server does not tell its time"
    if abs(ahead) > _SKEW:
        off = f"{abs(ahead.total_seconds()):.0f} s {'ahead of' if ahead > timedelta() else 'behind'} the server's"
        raise Finding(f"this machine's clock is {off}", "set it (NTP): links and keys expire by it")
    return "agrees with the server's"


def _greet(project: Project) -> Answer:
    """Ask what needs no key."""
    url = f"{project.storage}/upload/resumable"
    with closing(Transport(project.timeouts)) as transport:
        return transport.send(Call(method="OPTIONS", url=url, what=project.host, repeatable=True))


def _service_key(project: Project) -> str:
    return _key(project, project.service_key, "SUPABASE_SERVICE_KEY", "service_role", "service_role, or sb_secret_...")


def _public_key(project: Project) -> str:
    if project.public_key is None:
        return "not set; browsers that sign in would need it, this store does not"
    return _key(project, project.public_key, "SUPABASE_ANON_KEY", "anon", "anon, or sb_publishable_...")


def _key(project: Project, key: str, name: str, role: str, kind: str) -> str:
    facts, take = KeyFacts.of(key), f"put in it the one from {_KEYS}: {kind}"
    if facts.role is None:
        raise Finding(f"{name} is no key of Supabase's", take)
    if facts.role != role:
        danger = "; if it ever reached a browser, make a new one" if facts.role == "service_role" else ""
        raise Finding(f"{name} is {_ROLES.get(facts.role, f'for role {facts.role!r}')}", take + danger)
    if project.ref is not None and facts.ref not in {None, project.ref}:
        raise Finding(f"{name} is of project {facts.ref}, SUPABASE_URL of {project.ref}", take)
    if facts.expires_at is not None and facts.expires_at <= datetime.now(UTC):
        raise Finding(f"{name} has expired, on {moment(facts.expires_at)}", take)
    try:
        server = project.server(key)
        with closing(server.transport):
            server.call("GET", "/bucket", name, repeatable=True).json()
    except PermissionDenied as error:
        raise Finding(str(error), take) from error
    except NotFound as error:
        raise Finding(f"what answers at {project.host} is no Supabase Storage", "look at SUPABASE_URL") from error
    if facts.expires_at is not None and facts.expires_at <= datetime.now(UTC) + _SOON:
        raise Finding(f"{name} expires soon, on {moment(facts.expires_at)}", take)
    ends = "" if facts.expires_at is None else f", good until {facts.expires_at:%Y-%m-%d}"
    return f"role {facts.role}{ends}, and the server takes it"


_PUBLIC: Final = "public: whoever knows or guesses a path can read the file, without a link"


def _bucket(project: Project) -> str:
    with closing(project.backend(project.service_key)) as backend:
        report = backend.ensure_bucket(max_file_size=project.max_file_size, change=False)
    name = project.bucket
    if not report.existed:
        repair = Repair(what=f"make bucket {name!r}, private and for audio", do=lambda: _ensure(project))
        raise Finding(f"{name!r} does not exist", "audiostore bucket ensure, or doctor --fix", repair)
    if "public" in report.faults:
        repair = Repair(what=f"make bucket {name!r} private", do=lambda: _make_private(project))
        raise Finding(_PUBLIC, "audiostore bucket ensure --fix, or doctor --fix", repair)
    return f"{name!r} is there, and private"


def _ensure(project: Project) -> None:
    with closing(project.backend(project.service_key)) as backend:
        backend.ensure_bucket(max_file_size=project.max_file_size)


def _make_private(project: Project) -> None:
    # That alone: limits that somebody chose are nothing to change in passing.
    server = project.server(project.service_key)
    with closing(server.transport):
        path, what = server.path("/bucket"), f"bucket {project.bucket}"
        server.call("PUT", path, what, data={"public": False}, repeatable=True)


def _limits(project: Project) -> str:
    with closing(project.backend(project.service_key)) as backend:
        report = backend.ensure_bucket(max_file_size=project.max_file_size, change=False)
    wanted, faults = project.max_file_size, report.faults
    if "file_size_limit" in faults:
        limit = format_size(faults["file_size_limit"][0])
        told = f"it takes files up to {limit}, MAX_FILE_SIZE_MB allows {format_size(wanted)}"
        raise Finding(told, "audiostore bucket ensure --fix, or lower MAX_FILE_SIZE_MB")
    if "allowed_mime_types" in faults:
        told = f"it only takes {', '.join(faults['allowed_mime_types'][0]) or 'nothing'}"
        raise Finding(told, "audiostore bucket ensure --fix: some audio would be refused")
    whole = _largest(project)
    if whole is not None and whole < (wanted or 0):
        told = f"the project takes files up to {format_size(whole)}, MAX_FILE_SIZE_MB allows {format_size(wanted)}"
        raise Finding(told, "raise it in the dashboard (Storage > Settings), or lower MAX_FILE_SIZE_MB")
    limit, _ = report.differences.get("file_size_limit", (wanted, wanted))
    types = report.differences.get("allowed_mime_types")
    kinds = "any type" if types is not None and types[0] is None else "audio"
    return f"{kinds}, up to {'what the project takes' if limit is None else format_size(limit)} a file"


def _largest(project: Project) -> int | None:
    """Ask for the limit of the whole project; None if that is not told."""
    try:
        told = _greet(project).headers.get("tus-max-size", "")
    except AudioStoreError:
        return None
    return int(told) if told.isdecimal() and int(told) else None


def _row_security(project: Project) -> str:
    """Let those whom nobody knows try to list, read, write and delete. What is written for it goes in any case."""
    with tempfile.TemporaryDirectory(prefix="audiostore-doctor-") as folder:
        return _Burglary(project, Path(folder)).told()


class _Burglary:
    def __init__(self, project: Project, folder: Path) -> None:
        self._project = project
        self._path = folder / "doctor.wav"
        self._ours = Key(f"{_FOLDER}/{uuid.uuid4().hex}.wav")
        self._theirs = Key(f"{_FOLDER}/{uuid.uuid4().hex}.wav")

    def told(self) -> str:
        public = self._project.public_key
        with closing(self._project.backend(self._project.service_key)) as service:
            _tidy(service)
            try:
                service.write(self._ours, self._staged())
                done = [] if self._is_closed() else ["read without a key"]
                if public is not None and KeyFacts.of(public).role == "anon":
                    with closing(self._project.backend(public)) as anyone:
                        done += self._done(anyone, service)
            finally:
                service.delete([self._ours, self._theirs])
        if done:
            raise Finding(
                f"who is not signed in can {' and '.join(done)}",
                "drop the policies of storage.objects that let role anon in (Storage > Policies)",
            )
        if public is None:
            return "without a key nothing can be read; for more SUPABASE_ANON_KEY is needed"
        return "who is not signed in can neither list, read, write nor delete"

    def _done(self, anyone: SupabaseBackend, service: SupabaseBackend) -> Iterator[str]:
        if not _is_refused(lambda: list(anyone.list(_FOLDER))):
            yield "list"
        if not _is_refused(lambda: self._read(anyone)):
            yield "read"
        # What came of the others is for the service key to see: who may write may be refused a look at it.
        with suppress(AudioStoreError):
            anyone.write(self._theirs, self._staged())
        if not _is_refused(lambda: service.stat(self._theirs)):
            yield "write"
        with suppress(AudioStoreError):
            anyone.delete([self._ours])
        if _is_refused(lambda: service.stat(self._ours)):
            yield "delete"

    def _read(self, anyone: SupabaseBackend) -> bytes:
        with anyone.read(self._ours) as stream:
            return b"".join(stream)

    def _is_closed(self) -> bool:
        path = f"/object/public/{self._project.bucket}/{self._ours}"
        call = Call(method="GET", url=self._project.storage + path, what=self._ours, repeatable=True)
        with closing(Transport(self._project.timeouts)) as transport:
            return _is_refused(lambda: transport.send(call))

    def _staged(self) -> Staged:
        content = sample()
        self._path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return Staged(
            path=self._path,
            size=len(content),
            sha256=digest,
            content_type="audio/wav",
            filename="doctor.wav",
            disposable=False,
        )


def _is_refused(attempt: Callable[[], object]) -> bool:
    """Tell whether it was refused, or came to nothing; being unable to ask is neither."""
    try:
        return not attempt()
    except (NotFound, PermissionDenied, ConfigurationError):
        return True


def _tidy(service: SupabaseBackend) -> None:
    old = datetime.now(UTC) - _HOUR
    service.delete(
        [each.key for each in service.list(_FOLDER) if each.modified_at < old]
    )  # of a doctor that was killed


_FIRST: Final = (
    ("settings", _settings),
    ("server", _server),
    ("server clock", _clock),
    ("service key", _service_key),
    ("public key", _public_key),
)
