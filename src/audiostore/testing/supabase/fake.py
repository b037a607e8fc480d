"""``FakeSupabase``: one project, and the doors to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self, get_args

from audiostore.testing.supabase import doors, tokens
from audiostore.testing.supabase.actors import OPERATIONS, Operation
from audiostore.testing.supabase.database.postgres import PostgresDatabase
from audiostore.testing.supabase.faults import Fault, Faults
from audiostore.testing.supabase.model import Bucket, Policy, Project, new_secret
from audiostore.testing.supabase.router import route
from audiostore.testing.supabase.server import Server
from audiostore.testing.supabase.staging import Staging
from audiostore.testing.supabase.wire import Request, Response

Others = Literal["pass", "refuse"]
_TEN_YEARS: Final = timedelta(days=3652)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request that came in: ``path`` is below ``/storage/v1``, escaped; the names of ``headers`` in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


class FakeSupabase(Staging):
    """A Supabase project in memory, as the real servers were recorded to answer; a new one is empty.

    Between ``start()`` and ``stop()``, or in a ``with`` block, httpx (and so supabase-py, sync and async) and requests
    find it at ``url``. ``serve()`` opens it to every other program.

    >>> with FakeSupabase() as fake:
    ...     fake.create_bucket("takes")
    ...     fake.keys("takes")
    []
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        jwt_secret: str | None = None,
        seed: int | None = None,
        others: Others = "pass",
        database: str | None = None,
    ) -> None:
        """*seed* makes the ids repeat from run to run; *others* is what happens to requests for other hosts.

        With *database*, the address of a real Postgres, ``/rest/v1`` leads there, with the role and the claims of
        each caller; its login may take on the three roles of a Supabase project, as ``authenticator`` does.

        Raises:
            ConfigurationError: *database* needs the extra ``postgres``.
        """
        if others not in get_args(Others):
            raise ValueError(f'others is "pass" or "refuse", not {others!r}')
        self.jwt_secret = jwt_secret or new_secret()
        postgres = None if database is None else PostgresDatabase(database)
        self._project = Project(secret=self.jwt_secret, seed=seed, postgres=postgres)
        self._faults = Faults()
        self._door = doors.Door(
            url or f"https://{new_secret()[:20].lower()}.supabase.co", self.handle, others == "refuse"
        )
        self.requests: list[Seen] = []
        self.service_key = self._key("service_role")
        self.anon_key = self._key("anon")

    @property
    def url(self) -> str:
        return self._door.url

    # --- doors --------------------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer *request*: what every door calls."""
        seen = Seen(method=request.method, path=request.path, query=request.query, headers=request.headers)
        self.requests.append(seen)
        fault = self._faults.take(request)
        if fault is None:
            return self._respond(request)
        return fault.befall(request, self._respond)

    def _respond(self, request: Request) -> Response:
        return route(self._project, request)

    def start(self) -> Self:
        doors.open_door(self._door)
        return self

    def stop(self) -> None:
        doors.close_door(self._door)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def serve(self, *, port: int = 0) -> Server:
        """Listen on 127.0.0.1, by default on any free port, until the server is stopped."""
        return Server(self.handle, port=port)

    # --- state --------------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget buckets, objects, uploads, policies, tables, functions, users, faults, the log and a set clock."""
        with self._project.lock:
            self._project.clear()
            self._project.frozen = None
        self._faults.clear()
        self.requests.clear()

    @property
    def now(self) -> datetime:
        """The clock. Once set it stands still; ``advance`` moves it."""
        return self._project.now

    @now.setter
    def now(self, moment: datetime) -> None:
        if moment.tzinfo is None:
            raise ValueError("the clock needs a time zone")
        self._project.frozen = moment

    def advance(self, by: timedelta) -> None:
        self.now += by

    @property
    def takeover(self) -> timedelta:
        """How long one request waits for another that is sending to the same TUS upload, before it ends that one.

        Nothing by default; the real server takes 3 seconds.
        """
        return self._project.takeover

    @takeover.setter
    def takeover(self, wait: timedelta) -> None:
        self._project.takeover = wait

    def create_bucket(
        self,
        name: str,
        *,
        public: bool = False,
        file_size_limit: int | None = None,
        allowed_mime_types: list[str] | None = None,
    ) -> None:
        with self._project.lock:
            self._project.buckets[name] = Bucket(
                id=name,
                name=name,
                owner="",
                public=public,
                file_size_limit=file_size_limit,
                allowed_mime_types=allowed_mime_types,
                created_at=self.now,
            )

    def keys(self, bucket: str) -> list[str]:
        with self._project.lock:
            return sorted(name for each, name in self._project.objects if each == bucket)

    def read(self, bucket: str, key: str) -> bytes:
        """Give an object's bytes; raises ``KeyError`` if there is none."""
        with self._project.lock:
            blob = self._project.objects[bucket, key].blob
        return b"".join(blob.piece())

    def lose_bytes(self, bucket: str, key: str) -> None:
        """Leave the row of an object and take its bytes: what a broken disk does."""
        with self._project.lock:
            stored = self._project.objects[bucket, key]
            self._project.objects[bucket, key] = replace(stored, lost=True)

    # --- who ----------------------------------------------------------------------------------------------------------

    def user_token(
        self,
        user_id: str,
        *,
        expires_in: timedelta = timedelta(hours=1),
        role: str = "authenticated",
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """Give an access token of this user, as signing in would; who is not registered is, without an address."""
        with self._project.lock:
            if user_id not in self._project.users.by_id:
                self._project.users.add(self.now, email="", password=None, id=user_id)
        now = int(self.now.timestamp())
        content = {"sub": user_id, "role": role, "aud": role, "iat": now, "exp": now + int(expires_in.total_seconds())}
        return tokens.mint({**content, **(claims or {})}, secret=self.jwt_secret)

    def allow(self, operation: Operation, policy: Policy) -> None:
        """Let *policy* decide who may ``select``, ``insert``, ``update`` or ``delete`` objects.

        It is called with the actor, the bucket and the key, and replaces the one there was: own folder only.
        """
        if operation not in OPERATIONS:
            raise ValueError(f"no such operation: {operation!r}")
        self._project.policies[operation] = policy

    def _key(self, role: str) -> str:
        now = self.now
        claims = {
            "iss": "supabase",
            "role": role,
            "iat": int(now.timestamp()),
            "exp": int((now + _TEN_YEARS).timestamp()),
        }
        return tokens.mint(claims, secret=self.jwt_secret)

    # --- faults -------------------------------------------------------------------------------------------------------

    def fail_next(
        self,
        route: str = "*",
        *,
        status: int | None = None,
        error: str | None = None,
        retry_after: timedelta | None = None,
        cut_request_after: int | None = None,
        cut_response_after: int | None = None,
        lose_response: bool = False,
        malformed: bool = False,
        drip: timedelta | None = None,
        latency: timedelta | None = None,
        times: int = 1,
    ) -> None:
        """Let the next *times* requests of a route go wrong.

        Args:
            route: a pattern for the path below ``/storage/v1``, with a method before it if it matters:
                ``"PATCH /upload/resumable/*"``.
            status: answer with this HTTP status, and do nothing.
            error: what the body of that answer says; without *status* it comes with a 429.
            retry_after: the header of that name; without *status* it comes with a 429.
            cut_request_after: hang up after so many bytes of the request's body.
            cut_response_after: do it, and hang up after so many bytes of the answer's body.
            lose_response: do it, and hang up without an answer.
            malformed: do it, and answer with JSON that breaks off.
            drip: send the answer's body 1 KiB at a time, so long after each other.
            latency: wait so long before anything else.
            times: how many requests it befalls.
        """
        if retry_after is not None or error is not None:
            status = status or 429
        kinds = (status, cut_request_after, cut_response_after, drip, latency)
        if times < 1 or not (lose_response or malformed or any(each is not None for each in kinds)):
            raise ValueError("name what is to go wrong, at least once")
        self._faults.stage(
            Fault(
                route=route,
                times=times,
                status=status,
                error=error,
                retry_after=retry_after,
                cut_request_after=cut_request_after,
                cut_response_after=cut_response_after,
                lose_response=lose_response,
                malformed=malformed,
                drip=drip,
                latency=latency,
            )
        )
