"""The file of a SQLiteCatalog: opened late, shared, forked over, refused, damaged, full."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.errors import AudioStoreError, ConfigurationError, PermissionDenied, StorageFull, Unavailable
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import Place
from audiostore.testing.customer import Customer

QUICK = timedelta(milliseconds=50)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "catalog.db"


@pytest.fixture
def catalog(path: Path) -> Iterator[SQLiteCatalog]:
    catalog = SQLiteCatalog(path, busy_timeout=QUICK)
    yield catalog
    catalog.close()


def in_a_fork(work: Callable[[], object]) -> int:
    """Fork; the child does *work* and leaves without a goodbye. Give its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - os._exit would hide it
        traceback.print_exc()
    finally:
        os._exit(code)


def is_fine(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_nothing_is_touched_before_the_first_use(catalog: SQLiteCatalog, path: Path) -> None:
    assert not path.parent.exists()
    catalog.close()
    assert not path.parent.exists()
    Customer(catalog).stores()
    assert path.exists()


def test_a_closed_catalog_opens_again_when_it_is_used(catalog: SQLiteCatalog, path: Path) -> None:
    alice = Customer(catalog)
    file = alice.stores()
    catalog.close()
    catalog.close()
    assert [each.name for each in path.parent.iterdir()] == ["catalog.db"]
    assert alice.sees() == [file.id]
    alice.stores()
    assert alice.counts() == (20, 0, 2)


def test_closing_is_safe_while_others_are_at_work(path: Path) -> None:
    catalog = SQLiteCatalog(path)
    alice = Customer(catalog)
    done = threading.Event()

    def close_often() -> None:
        while not done.is_set():
            catalog.close()

    closer = threading.Thread(target=close_often)
    closer.start()
    with ThreadPoolExecutor(4) as threads:
        files = list(threads.map(alice.stores, [1] * 40))
    done.set()
    closer.join()
    assert alice.sees() == sorted(file.id for file in files)
    catalog.close()


def test_what_one_catalog_wrote_another_one_reads(catalog: SQLiteCatalog, path: Path) -> None:
    file = Customer(catalog).stores()
    other = SQLiteCatalog(os.path.relpath(path))
    assert list(other.find([file.id])) == [file]
    other.close()


def test_a_catalog_that_is_dropped_closes_its_file(path: Path) -> None:
    catalog = SQLiteCatalog(path)
    Customer(catalog).stores()
    del catalog
    gc.collect()
    assert [each.name for each in path.parent.iterdir()] == ["catalog.db"]


def test_a_finalizer_waits_for_nobody(path: Path) -> None:
    # It may run amid a fork or a decision, in a thread that holds what the waited-for one needs.
    catalog = SQLiteCatalog(path)
    Customer(catalog).stores()
    connections = catalog._connections
    collector = threading.Thread(target=connections.abandon)
    with connections._turn(), connections._readers:
        collector.start()
        collector.join(10)
        assert not collector.is_alive()


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_catalog_without_a_file_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="MemoryCatalog"):
        SQLiteCatalog(path)


def test_what_was_acknowledged_outlives_a_power_cut(catalog: SQLiteCatalog) -> None:
    Customer(catalog).stores()
    modes = {
        durable: connection.execute("PRAGMA synchronous").fetchone()[0]
        for durable, connection in catalog._connections._writers.items()
    }
    assert modes == {False: 1, True: 2}  # NORMAL for reservations, FULL for the rest


def test_whatever_can_not_be_taken_back_is_written_through(catalog: SQLiteCatalog) -> None:
    alice, durable, real = Customer(catalog), list[bool](), catalog._connections.writing
    file, adopted = alice.stores(), replace(alice.stores(), id=new_id(), key=Key("alice/adopted"))
    removals = [each.id for each in alice.deletes(alice.stores())]
    decisions: dict[str, Callable[[], object]] = {
        "commit": alice.stores,
        "expire": lambda: catalog.expire(1),
        "move": lambda: catalog.move(alice.name, file.id, Place("p2")),
        "adopt": lambda: catalog.adopt([adopted]),
        "hide": lambda: catalog.hide(alice.name, [file.id]),
        "claim": lambda: catalog.claim(1, QUICK),
        "postpone": lambda: catalog.postpone(removals, QUICK),
        "forget": lambda: catalog.forget(removals),
        "discard": lambda: catalog.discard("local", [Key("alice/left")], QUICK),
        "set_override": lambda: catalog.set_override(alice.name, None),
        "recount": catalog.recount,
        # Lost, it comes back by itself or costs nothing: a reservation has not promised anything yet.
        "release": lambda: catalog.release(alice.reserves().id),
    }
    catalog._connections.writing = lambda *, durable: (seen(durable), real(durable=durable))[1]  # type: ignore[method-assign]
    seen = durable.append
    last = dict[str, bool]()
    for name, decide in decisions.items():
        decide()
        last[name] = durable[-1]
    assert last == dict.fromkeys(decisions, True) | {"release": False}


def test_times_are_microseconds_since_1970_as_other_releases_read_them(catalog: SQLiteCatalog, path: Path) -> None:
    file = Customer(catalog).stores()
    catalog.close()
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("SELECT created_at FROM records").fetchone()[0] == round(
            file.created_at.timestamp() * 1_000_000
        )


def test_a_locked_file_can_be_read_and_writing_told_to_try_again(catalog: SQLiteCatalog, path: Path) -> None:
    alice = Customer(catalog)
    reservation = alice.reserves()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for write in (alice.stores, lambda: alice.finishes(reservation)):
        with pytest.raises(Unavailable, match="locked") as locked:
            write()
        assert locked.value.retryable
    assert alice.counts() == (0, 10, 0)
    other.close()
    alice.finishes(reservation)
    assert alice.counts() == (10, 0, 1)


def test_a_thread_that_waits_too_long_for_its_turn_is_told_to_try_again(catalog: SQLiteCatalog) -> None:
    alice = Customer(catalog)
    alice.stores()
    with catalog._connections._turn(), pytest.raises(Unavailable) as locked:
        alice.stores()
    assert locked.value.retryable


@pytest.mark.parametrize("where", [0, 2 * 4096], ids=["header", "page"])
def test_a_damaged_file_is_unavailable(path: Path, where: int) -> None:
    catalog = SQLiteCatalog(path)
    alice = Customer(catalog)
    alice.stores()
    catalog.close()
    content = bytearray(path.read_bytes())
    content[where:] = b"\xde\xad" * ((len(content) - where) // 2)
    path.write_bytes(content)
    for use in (alice.usage, alice.stores, lambda: catalog.find(["x"]), catalog.audit):
        with pytest.raises(Unavailable, match=r"catalog\.db") as damaged:
            use()
        assert not damaged.value.retryable
        assert isinstance(damaged.value.__cause__, sqlite3.Error)


def test_a_full_disk_is_storage_full_and_nothing_is_lost(catalog: SQLiteCatalog) -> None:
    alice = Customer(catalog)
    first, waiting = alice.stores(), alice.reserves()
    writers = catalog._connections._writers.values()
    for connection in writers:
        connection.execute("PRAGMA max_page_count = 1")
    large = {"note": "x" * 50_000}
    with pytest.raises(StorageFull):
        alice.stores(metadata=large)
    assert (alice.counts(), alice.sees()) == ((10, 10, 1), [first.id])
    for connection in writers:
        connection.execute("PRAGMA max_page_count = 1000000")
    alice.finishes(waiting)
    alice.stores(metadata=large)
    assert alice.counts() == (30, 0, 3)
    assert not catalog.audit()


def test_a_folder_in_the_way_is_an_error_of_ours(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(AudioStoreError):
        SQLiteCatalog(path).find(["x"])
    blocked = path.parent / "file"
    blocked.write_bytes(b"")
    with pytest.raises(AudioStoreError):
        SQLiteCatalog(blocked / "catalog.db").find(["x"])


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_what_can_not_be_written_is_permission_denied() -> None:
    # pytest's own folders are closed to other users, and root may write everywhere: hence nobody, in a public folder.
    with tempfile.TemporaryDirectory() as public:
        folder = Path(public)
        catalog = SQLiteCatalog(folder / "old.db")
        Customer(catalog).stores()
        catalog.close()
        (folder / "old.db").chmod(0o444)
        folder.chmod(0o555)

        def write() -> None:
            if os.geteuid() == 0:
                os.setuid(65534)
            for name in ("old.db", "new.db", "sub/new.db"):
                with pytest.raises(PermissionDenied):
                    Customer(SQLiteCatalog(folder / name)).stores()

        fine = is_fine(in_a_fork(write))
        folder.chmod(0o755)
        assert fine


def test_sqlite_is_loaded_only_by_its_own_catalog() -> None:
    # A coverage run has loaded it before.
    forget, load = "import sys; sys.modules.pop('sqlite3', 0)", "import audiostore.catalogs.memory"
    command = [sys.executable, "-c", f"{forget}; {load}; sys.exit('sqlite3' in sys.modules)"]
    subprocess.run(command, check=True)


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
class TestFork:
    def test_a_forked_child_keeps_what_it_writes_after_its_parent_closed(self, path: Path) -> None:
        # With inherited connections, the parent would take itself for the last user and remove the child's WAL.
        catalog = SQLiteCatalog(path)
        alice = Customer(catalog)
        alice.stores()
        alice.usage()
        ready, go = os.pipe(), os.pipe()

        def child() -> None:
            alice.stores()
            os.write(ready[1], b"1")
            os.read(go[0], 1)
            alice.stores()

        forked = in_a_fork(child)
        os.read(ready[0], 1)
        catalog.close()
        os.write(go[1], b"1")
        assert is_fine(forked)
        for end in (*ready, *go):
            os.close(end)
        assert alice.counts() == (30, 0, 3)
        assert not catalog.audit()
        catalog.close()

    def test_a_fork_amid_busy_threads_harms_neither_side(self, path: Path) -> None:
        catalog, second = SQLiteCatalog(path), SQLiteCatalog(path)
        alice = Customer(catalog)
        done = threading.Event()
        stored: list[str] = []

        def work(mine: SQLiteCatalog) -> None:
            bob = Customer(mine)
            while not done.is_set():
                stored.append(bob.stores(0).id)
                bob.usage()

        workers = [threading.Thread(target=work, args=(each,)) for each in (catalog, second, catalog)]
        for worker in workers:
            worker.start()

        def child() -> None:
            alice.stores(1)
            catalog.close()
            alice.stores(1)

        children = [in_a_fork(child) for _ in range(5)]
        fine = [is_fine(child) for child in children]
        done.set()
        for worker in workers:
            worker.join()
        assert all(fine)
        assert alice.counts() == (10, 0, 10)
        assert len(catalog.find(stored)) == len(stored)
        assert not catalog.audit()
        catalog.close()
        second.close()
