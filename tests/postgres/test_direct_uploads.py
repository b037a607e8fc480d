"""Direct uploads, from a browser to Supabase, with the accounting in Postgres: reserved, sent, settled or refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from audiostore import AudioStore, FixedQuota
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.errors import QuotaExceeded, ReservationExpired
from audiostore.models import UploadGrant
from tests.postgres.databases import Database
from tests.supabase.project import BUCKET, Served, served

ALICE, BOB = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
TAKE = b"a take ".ljust(400, b".")
QUOTA = 1000
LINK_LIFE = timedelta(hours=2)


ENDS = [
    "refusal", "cancelling", "deleting_the_owner", "deleting_the_file", "deleting_the_project", "replacing_the_file"
]  # fmt: skip


class Project:
    """A served fake and a Postgres with one clock, and the store of the app."""

    def __init__(self, served: Served, database: Database) -> None:
        self.served, self.database = served, database
        database.make_clock_settable()
        served.fake.now = served.fake.now  # it stands still, and goes with the database's
        served.fake.allow("insert", self._may_upload)
        catalog = PostgresCatalog.connect(database.dsn)
        self.store = AudioStore(served.backend(), catalog, quota=FixedQuota(total=QUOTA))

    def advance(self, by: timedelta) -> None:
        self.database.advance(by)
        self.served.fake.advance(by)

    def begin(self, size: int = len(TAKE), **options: Any) -> UploadGrant:
        return self.store.begin_upload(owner=ALICE, size=size, filename="take.wav", **options)

    def send(self, grant: UploadGrant, content: bytes = TAKE) -> httpx.Response:
        return httpx.put(grant.url, headers=grant.headers, content=content)

    def send_as(self, user: str, key: str, content: bytes = TAKE) -> httpx.Response:
        headers = {"apikey": self.served.fake.anon_key, "Authorization": f"Bearer {self.served.fake.user_token(user)}"}
        url = f"{self.served.url}/storage/v1/object/{BUCKET}/{key}"
        return httpx.post(url, headers={**headers, "Content-Type": "audio/wav"}, content=content)

    def key_of(self, grant: UploadGrant) -> str:
        return self.store.catalog.reservation(grant.reservation).key

    def is_empty(self) -> bool:
        usage = self.store.usage(ALICE)
        return (usage.used, usage.reserved, self.served.keys()) == (0, 0, [])

    def _may_upload(self, actor: Any, bucket: str, name: str) -> bool:
        """Ask the policy in the database, as the storage server does before it takes the bytes."""
        insert = (
            "insert into storage.objects (bucket_id, name, owner_id, version, metadata) values (%s, %s, %s, '1', %s)"
        )
        with self.database.acting("authenticated", actor.sub) as connection:
            try:
                connection.execute(insert.encode(), [bucket, name, actor.sub, "{}"])
            except psycopg.errors.InsufficientPrivilege:
                return False
            finally:
                connection.rollback()
        return True


@pytest.fixture
def project(tmp_path: Path, applied: Database) -> Iterator[Project]:
    with served(tmp_path) as fake:
        project = Project(fake, applied)
        yield project
        project.store.close()


def test_what_was_sent_is_charged_as_what_it_is(project: Project) -> None:
    grant = project.begin(600)
    assert project.store.usage(ALICE).reserved == 600
    assert project.send(grant).is_success
    file = project.store.finish_upload(grant)
    usage = project.store.usage(ALICE)
    assert (file.size, usage.used, usage.reserved) == (400, 400, 0)
    assert httpx.get(project.store.url(file)).content == TAKE


def test_more_than_fits_is_refused_and_removed(project: Project) -> None:
    grant = project.begin(10)
    assert project.send(grant, b"~" * (QUOTA + 1)).is_success, "a link does not bind the size on this server"
    with pytest.raises(QuotaExceeded):
        project.store.finish_upload(grant)
    assert project.is_empty()


class TestALinkThatOutlivesItsUpload:
    """The server takes no link back: whatever comes by it after the end is erased when the link is dead."""

    def end_by_refusal(self, project: Project, grant: UploadGrant) -> None:
        project.send(grant, b"~" * (QUOTA + 1))
        with pytest.raises(QuotaExceeded):
            project.store.finish_upload(grant)

    def end_by_cancelling(self, project: Project, grant: UploadGrant) -> None:
        project.store.cancel_upload(grant)

    def end_by_deleting_the_owner(self, project: Project, grant: UploadGrant) -> None:
        project.store.delete_owner(ALICE)

    def end_by_deleting_the_file(self, project: Project, grant: UploadGrant) -> None:
        project.send(grant)
        project.store.delete(project.store.finish_upload(grant))

    def end_by_deleting_the_project(self, project: Project, grant: UploadGrant) -> None:
        project.send(grant)
        project.store.finish_upload(grant)
        assert project.store.delete_project(ALICE, "p1") == 1

    def end_by_replacing_the_file(self, project: Project, grant: UploadGrant) -> None:
        project.send(grant)
        file = project.store.finish_upload(grant)
        project.store.delete(project.store.replace(file, b"other bytes"))

    @pytest.mark.parametrize("end", ENDS)
    def test_nothing_stays_of_what_it_brings(self, project: Project, end: str) -> None:
        grant = project.begin(project="p1")
        getattr(self, f"end_by_{end}")(project, grant)
        assert project.is_empty()
        project.advance(timedelta(minutes=30))
        project.store.sweep()
        assert project.send(grant).is_success, "the link is still good"
        project.advance(LINK_LIFE)
        assert project.send(grant).is_error, "the link is dead"
        project.store.sweep()
        assert project.is_empty()
        assert project.store.audit().ok


def test_nobody_finishes_it_and_the_sweep_gives_everything_back(project: Project) -> None:
    grant = project.begin()
    assert project.send(grant).is_success
    project.advance(LINK_LIFE + timedelta(hours=1))
    project.store.sweep()
    project.advance(timedelta(minutes=2))
    project.store.sweep()
    assert project.is_empty()
    with pytest.raises(ReservationExpired):
        project.store.finish_upload(grant)


def test_as_long_as_the_link_is_good_no_sweep_takes_the_room(project: Project) -> None:
    grant = project.begin(expires=timedelta(minutes=1))
    project.advance(LINK_LIFE - timedelta(minutes=1))
    project.store.sweep()
    assert project.store.usage(ALICE).reserved == len(TAKE)
    assert project.send(grant).is_success
    assert project.store.finish_upload(grant).size == len(TAKE)


class TestWithAUsersToken:
    def test_what_was_reserved_is_taken_and_settled(self, project: Project) -> None:
        grant = project.begin()
        assert project.send_as(ALICE, project.key_of(grant)).is_success
        assert project.store.finish_upload(grant).size == len(TAKE)

    def test_nothing_else_is(self, project: Project) -> None:
        key = project.key_of(project.begin())
        assert project.send_as(BOB, key).is_error
        assert project.send_as(ALICE, f"{key}.bak").is_error
        assert project.send_as(ALICE, f"{ALICE}/take.wav").is_error
        assert project.served.keys() == []

    def test_nor_what_was_cancelled_or_is_too_late(self, project: Project) -> None:
        cancelled, late = project.begin(), project.begin()
        project.store.cancel_upload(cancelled)
        assert project.send_as(ALICE, project.key_of(cancelled)).is_error
        project.advance(LINK_LIFE + timedelta(hours=1))
        assert project.send_as(ALICE, project.key_of(late)).is_error
