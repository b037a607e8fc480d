"""Two machines with folders of their own, one Supabase project: what one does, the other sees at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from audiostore import AudioFile, AudioStore, FixedQuota
from audiostore.backends.local import LocalBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.errors import NotFound, QuotaExceeded, Unavailable
from tests.postgres.databases import Database
from tests.supabase.project import Served, served

ALICE = "aaaaaaaa-0000-4000-8000-000000000001"
TAKE, OTHER = b"a take ".ljust(400, b"."), b"another take ".ljust(500, b":")
QUOTA = 5000
RACER = Path(__file__).with_name("race_for_room.py")


class Site:
    """The project, and machines that use it."""

    def __init__(self, project: Served, database: Database, folder: Path) -> None:
        self.project, self.database, self._folder = project, database, folder
        self.machines = [self._machine("one"), self._machine("two")]

    def _machine(self, name: str) -> AudioStore:
        disk = LocalBackend(self._folder / name, name=f"disk of {name}")
        catalog = PostgresCatalog.connect(self.database.dsn)
        return AudioStore(self.project.backend(), catalog, backends=[disk], quota=FixedQuota(total=QUOTA))

    def close(self) -> None:
        for each in self.machines:
            each.close()


@pytest.fixture
def site(tmp_path: Path, applied: Database) -> Iterator[Site]:
    with served(tmp_path) as project:
        site = Site(project, applied, tmp_path)
        yield site
        site.close()


def test_what_one_machine_stores_the_other_plays_lists_and_charges(site: Site) -> None:
    one, two = site.machines
    file = one.put(TAKE, owner=ALICE, project="p1", filename="take.wav")
    assert two.get(file.id, owner=ALICE) == TAKE
    assert list(two.list(owner=ALICE)) == [file]
    assert two.usage(ALICE).used == len(TAKE)
    assert httpx.get(two.url(file)).content == TAKE


def test_what_the_other_machine_replaces_is_new_on_the_first(site: Site) -> None:
    one, two = site.machines
    file = one.put(TAKE, owner=ALICE, filename="take.wav")
    two.replace(file.id, OTHER, owner=ALICE)
    assert one.get(file) == OTHER
    assert one.usage(ALICE).used == len(OTHER)
    assert len(site.project.keys()) == 1, "the old bytes stayed"


def test_what_the_other_machine_deletes_is_gone_on_the_first(site: Site) -> None:
    one, two = site.machines
    file = one.put(TAKE, owner=ALICE)
    two.delete(file.id, owner=ALICE)
    with pytest.raises(NotFound):
        one.get(file)
    assert one.usage(ALICE).used == 0
    assert site.project.keys() == []
    assert one.audit().ok


def test_an_upload_begun_on_one_machine_is_finished_on_the_other(site: Site) -> None:
    one, two = site.machines
    grant = one.begin_upload(owner=ALICE, size=len(TAKE), filename="take.wav", project="p1")
    assert two.usage(ALICE).reserved == len(TAKE)
    assert httpx.put(grant.url, headers=grant.headers, content=TAKE).is_success
    file = two.finish_upload(grant.reservation, owner=ALICE)
    assert one.finish_upload(grant.reservation, owner=ALICE) == file
    assert one.get(file) == TAKE


def test_a_put_repeated_on_the_other_machine_stores_it_once(site: Site) -> None:
    one, two = site.machines
    first = one.put(TAKE, owner=ALICE, idempotency_key="once")
    assert two.put(TAKE, owner=ALICE, idempotency_key="once") == first
    assert len(site.project.keys()) == 1
    assert two.usage(ALICE).used == len(TAKE)


def test_of_a_put_made_on_both_at_once_one_is_stored(site: Site) -> None:
    start = Barrier(2)

    def put(store: AudioStore) -> AudioFile | Unavailable:
        start.wait()
        try:
            return store.put(TAKE, owner=ALICE, idempotency_key="once")
        except Unavailable as error:
            return error

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(put, site.machines))
    files = {each.id for each in answers if isinstance(each, AudioFile)}
    assert files == {each.id for each in site.machines[0].list(owner=ALICE)}
    assert len(files) == len(site.project.keys()) == 1
    assert all(each.retryable for each in answers if isinstance(each, Unavailable))


def test_four_processes_that_race_for_the_last_bytes_never_go_over(site: Site) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    told = {"url": site.project.url, "key": site.project.fake.service_key, "dsn": site.database.dsn}
    asked = [sys.executable, str(RACER), json.dumps({**told, "owner": ALICE, "quota": QUOTA})]
    pipe = subprocess.PIPE
    racers = [subprocess.Popen(asked, env=environment, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    assert [each.stdout.readline() for each in racers if each.stdout] == ["ready\n"] * 4
    for each in racers:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    most = 0
    while any(each.poll() is None for each in racers):
        usage = site.machines[0].usage(ALICE)
        most = max(most, usage.used + usage.reserved)
    results = [json.loads(each.communicate()[0]) for each in racers]
    assert [each.returncode for each in racers] == [0] * 4
    assert most <= QUOTA
    sizes = [each.size for each in site.machines[0].list(owner=ALICE)]
    assert sum(each["stored"] for each in results) == len(sizes)
    assert sum(each["refused"] for each in results) > 0
    assert QUOTA - 400 < sum(sizes) == site.machines[0].usage(ALICE).used <= QUOTA, "it was not filled"
    with pytest.raises(QuotaExceeded):
        site.machines[1].put(OTHER, owner=ALICE)
    assert site.machines[1].audit().ok
