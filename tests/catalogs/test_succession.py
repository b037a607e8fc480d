"""A catalog that comes after another one: nothing is lost on the way, and nothing is charged twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest

from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.catalogs.succession import succeed
from audiostore.errors import Unavailable
from audiostore.models import AudioFile, Limits, Override
from audiostore.testing.customer import HOUR, Customer

ROOMY = Limits()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite3"


def test_every_record_comes_along_as_it_was(file: Path) -> None:
    alice = Customer(earlier := SQLiteCatalog(file))
    files = [alice.stores(limits=ROOMY, metadata={"n": n}) for n in range(3)]
    bob = Customer(earlier)
    foreign = bob.stores(limits=ROOMY)
    catalog = MemoryCatalog()
    succeed(catalog, file, SQLiteCatalog)
    assert list(catalog.list(alice.name)) == files
    assert list(catalog.list(bob.name)) == [foreign]
    assert catalog.usage(alice.name, ROOMY).used == 30
    assert not catalog.audit()
    assert not file.exists()
    assert file.with_name("catalog.sqlite3.succeeded").exists()


@pytest.mark.parametrize("name", ["id", "owner", "filename", "key", "backend"])
@pytest.mark.parametrize("wrong", ["", "a\0b", "\ud800"])
def test_a_record_that_no_catalog_can_keep_is_not_taken_over(file: Path, name: str, wrong: str) -> None:
    alice = Customer(MemoryCatalog())
    record = alice.stores(limits=ROOMY)
    object.__setattr__(record, name, wrong)
    for catalog in (MemoryCatalog(), SQLiteCatalog(file)):
        with pytest.raises(ValueError, match=r".") as raised:
            catalog.adopt([record])
        assert not isinstance(raised.value, UnicodeError)
        catalog.close()


def test_numbers_of_ones_own_come_along_unless_there_are_newer_ones(file: Path) -> None:
    earlier, catalog = SQLiteCatalog(file), MemoryCatalog()
    alice, bob = Customer(earlier), Customer(earlier)
    for each in (alice, bob):
        each.stores()
        earlier.set_override(each.name, Override(total=7))
    catalog.set_override(bob.name, Override(total=8))
    succeed(catalog, file, SQLiteCatalog)
    assert [catalog.usage(each.name, ROOMY).quota for each in (alice, bob)] == [7, 8]


def test_bytes_that_wait_for_removal_are_not_forgotten(file: Path) -> None:
    earlier = SQLiteCatalog(file, removal_delay=timedelta(0))
    alice = Customer(earlier)
    gone = alice.stores()
    alice.deletes(gone)
    catalog = MemoryCatalog()
    succeed(catalog, file, SQLiteCatalog)
    assert [each.key for each in catalog.claim(10, HOUR)] == [gone.key]
    assert not catalog.list(alice.name)


def test_an_outage_midway_leaves_the_rest_for_the_next_try(file: Path) -> None:
    alice = Customer(SQLiteCatalog(file))
    files = [alice.stores(1) for _ in range(3)]

    class BreaksOff(MemoryCatalog):
        down = True

        def adopt(self, files: Sequence[AudioFile]) -> frozenset[str]:
            if self.down:
                super().adopt(files[:2])
                raise Unavailable("the database went away")
            return super().adopt(files)

    catalog = BreaksOff()
    with pytest.raises(Unavailable):
        succeed(catalog, file, SQLiteCatalog)
    assert file.exists()
    catalog.down = False
    succeed(catalog, file, SQLiteCatalog)
    assert list(catalog.list(alice.name)) == files
    assert catalog.usage(alice.name, ROOMY).used == 3


def test_what_is_spoken_for_is_told_and_stays_where_it_is(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    alice = Customer(SQLiteCatalog(file))
    taken, free = alice.stores(), alice.stores()
    catalog = MemoryCatalog()
    bob = Customer(catalog)
    bob.backend = alice.backend
    bob.stores(key=taken.key)
    succeed(catalog, file, SQLiteCatalog)
    assert [each.id for each in catalog.list(alice.name)] == [free.id]
    assert taken.id in caplog.text
    assert file.exists()


def test_of_many_at_once_one_takes_over(file: Path) -> None:
    alice = Customer(SQLiteCatalog(file))
    files = [alice.stores(1) for _ in range(20)]
    catalog = MemoryCatalog()
    threads = [Thread(target=succeed, args=(catalog, file, SQLiteCatalog)) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert list(catalog.list(alice.name)) == files
    assert catalog.usage(alice.name, ROOMY).used == 20


def test_killed_before_the_file_is_set_aside_it_is_done_again_without_harm(file: Path, tmp_path: Path) -> None:
    alice = Customer(SQLiteCatalog(file))
    files = [alice.stores(1) for _ in range(3)]
    new = tmp_path / "new.sqlite3"
    dying = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from audiostore.catalogs.sqlite import SQLiteCatalog\n"
        "from audiostore.catalogs.succession import succeed\n"
        "Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "succeed(SQLiteCatalog(sys.argv[2]), Path(sys.argv[1]), SQLiteCatalog)\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    died = subprocess.run([sys.executable, "-c", dying, str(file), str(new)], env=clean, check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    catalog = SQLiteCatalog(new)
    succeed(catalog, file, SQLiteCatalog)
    assert list(catalog.list(alice.name)) == files
    assert catalog.usage(alice.name, ROOMY).used == 3
    assert not file.exists()


def test_there_may_be_nothing_to_take_over(file: Path) -> None:
    succeed(MemoryCatalog(), file, SQLiteCatalog)
    assert not list(file.parent.iterdir())
