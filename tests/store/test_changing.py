from __future__ import annotations

import pytest

from audiostore import AudioStore, ConfigurationError, FixedQuota, NotFound, QuotaExceeded, Unavailable
from audiostore.backends.memory import MemoryBackend
from audiostore.events import Event
from audiostore.keys import Key
from audiostore.models import ObjectStat, Staged
from audiostore.protocols import Progress
from audiostore.quota import DEFAULT_QUOTA

from .conftest import MakeStore


class Flaky(MemoryBackend):
    """A backend that is down while ``down`` is set, as a server that can't be reached."""

    down = False

    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        self._check()
        return super().write(key, staged, resume=resume, progress=progress)

    def delete(self, keys: object) -> frozenset[Key]:
        self._check()
        return super().delete(keys)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def _check(self) -> None:
        if self.down:
            raise Unavailable("the server is away")


def test_a_replacement_keeps_the_id_and_is_charged_the_difference(store: AudioStore) -> None:
    old = store.put(b"first take", owner="alice", project="p1", filename="Kapitel 1.bin", metadata={"take": 1})

    new = store.replace(old, b"second, longer take")

    assert (new.id, new.place, new.metadata, new.created_at) == (old.id, old.place, old.metadata, old.created_at)
    assert new.key != old.key
    assert store.get(old) == b"second, longer take"  # the old record follows
    assert store.usage("alice").used == len(b"second, longer take")
    assert store.usage("alice").files == 1
    assert {each.key for each in store.backend.list()} == {new.key}
    assert new.filename.startswith("Kapitel 1")


def test_a_replacement_fits_where_a_second_file_would_not(make: MakeStore) -> None:
    store = make(quota=FixedQuota(10))
    file = store.put(b"0123456789", owner="alice")
    store.replace(file, b"9876543210")
    with pytest.raises(QuotaExceeded):
        store.replace(file, b"0123456789+")
    assert store.get(file) == b"9876543210"


def test_the_old_bytes_stay_until_the_new_ones_are_there(store: AudioStore) -> None:
    file = store.put(b"good", owner="alice")

    def broken() -> object:
        yield b"half of the"
        raise OSError("line cut")

    with pytest.raises(OSError, match="line cut"):
        store.replace(file, broken())
    assert store.get(file) == b"good"
    assert store.audit().ok


def test_a_move_changes_the_place_and_no_byte(store: AudioStore) -> None:
    file = store.put(b"take", owner="alice", project="p1", chapter=1, section=1)
    moved = store.move(file, chapter=2, section=None)
    assert (moved.project, moved.chapter, moved.section) == ("p1", "2", None)
    assert (moved.id, moved.key) == (file.id, file.key)
    assert list(store.list(owner="alice", chapter=1)) == []


def test_a_copy_is_a_file_of_its_own(store: AudioStore) -> None:
    file = store.put(b"take", owner="alice", project="p1", chapter=1, metadata={"a": 1})
    copy = store.copy(file, project="p2", filename="copy.bin")
    assert copy.id != file.id
    assert (copy.project, copy.chapter, copy.metadata, copy.sha256) == ("p2", "1", {"a": 1}, file.sha256)
    store.delete(file)
    assert store.get(copy) == b"take"
    assert store.usage("alice").used == 4


def test_a_copy_needs_room(make: MakeStore) -> None:
    store = make(quota=FixedQuota(7))
    file = store.put(b"take", owner="alice")
    with pytest.raises(QuotaExceeded):
        store.copy(file)
    assert store.audit().ok


def test_what_is_deleted_is_gone_everywhere(store: AudioStore) -> None:
    file = store.put(b"take", owner="alice")
    store.delete(file.id, owner="alice")
    for call in (lambda: store.get(file), lambda: store.delete(file), lambda: store.find(file.id)):
        with pytest.raises(NotFound):
            call()
    assert not store.exists(file)
    assert list(store.backend.list()) == []
    assert (store.usage("alice").used, store.usage("alice").files) == (0, 0)


def test_a_project_goes_with_its_uploads_under_way_and_nothing_else(store: AudioStore) -> None:
    for project in ("p1", "p1", "p2", None):
        store.put(b"take", owner="alice", project=project)
    store.put(b"take", owner="bob", project="p1")
    store.begin_upload(owner="alice", size=100, project="p1")
    store.begin_upload(owner="alice", size=10, project="p2")

    assert store.delete_project("alice", "p1") == 2

    assert [file.project for file in store.list(owner="alice")] == ["p2", None]
    assert store.usage("alice").reserved == 10
    assert store.usage("bob").files == 1
    assert store.audit().ok


def test_an_owner_goes_with_everything(store: AudioStore) -> None:
    for n in range(7):
        store.put(b"take", owner="alice", project=n)
    store.set_quota("alice", "1 GB")
    store.begin_upload(owner="alice", size=100)
    assert store.delete_owner("alice") == 7
    assert (store.usage("alice").used, store.usage("alice").reserved) == (0, 0)
    assert store.quota_of("alice").override is None
    assert list(store.backend.list()) == []
    assert store.delete_owner("alice") == 0


def test_a_deletion_while_the_backend_is_away_counts_until_the_sweep(make: MakeStore) -> None:
    backend = Flaky()
    store = make()
    store = AudioStore(backend, store.catalog, quota=DEFAULT_QUOTA, secret="long enough a secret")
    file = store.put(b"take", owner="alice")
    events: list[Event] = []
    store.on("erase.failed", events.append)

    backend.down = True
    store.delete(file)

    assert not store.exists(file)
    assert store.usage("alice").used == 4
    assert len(events) == 1
    assert store.audit().ok


def test_a_fallback_takes_over_when_the_primary_is_away_and_only_then(make: MakeStore) -> None:
    primary, spare = Flaky(name="primary"), MemoryBackend(name="spare")
    store = AudioStore(primary, make().catalog, fallback=spare, quota=FixedQuota(10))
    primary.down = True

    file = store.put(b"take", owner="alice", idempotency_key="once")
    assert file.backend == "spare"
    assert store.get(file) == b"take"
    assert store.usage("alice").used == 4
    assert store.put(b"take", owner="alice", idempotency_key="once") == file
    with pytest.raises(QuotaExceeded):
        store.put(b"too much to keep", owner="alice")

    with pytest.raises(Unavailable):
        store.promote(file)
    assert store.get(file) == b"take"
    primary.down = False
    promoted = store.promote(file)
    assert (promoted.id, promoted.backend) == (file.id, "primary")
    assert store.get(file) == b"take"
    assert list(spare.list()) == []
    assert store.promote(file) == promoted
    assert store.put(b"two", owner="alice").backend == "primary"


def test_after_an_outage_everything_comes_to_the_primary(make: MakeStore) -> None:
    primary, spare, other = Flaky(name="primary"), MemoryBackend(name="spare"), MemoryBackend(name="other")
    store = AudioStore(primary, make().catalog, fallback=spare, backends=[other], quota=DEFAULT_QUOTA)
    at_home = store.put(b"there", owner="alice")
    primary.down = True
    away = [store.put(b"take %d" % n, owner=owner) for n, owner in enumerate(("alice", "alice", "bob"))]
    assert {type(each.error) for each in store.promote_all()} == {Unavailable}
    primary.down = False
    spare.delete([away[1].key])

    assert not list(store.promote_all(source="other"))
    with pytest.raises(ConfigurationError):
        list(store.promote_all(source="nowhere"))
    stopped = next(iter(store.promote_all("alice")))
    assert (stopped.file.id, stopped.error) == (away[0].id, None)

    outcomes = {each.file.id: type(each.error) for each in store.promote_all()}

    assert outcomes == {away[1].id: NotFound, away[2].id: type(None)}
    assert {each.backend for each in (store.find(file.id) for file in (at_home, away[0], away[2]))} == {"primary"}
    assert not list(spare.list())
    assert store.usage("bob").used == 6


def test_without_a_fallback_an_outage_leaves_nothing(make: MakeStore) -> None:
    primary = Flaky(name="primary")
    store = AudioStore(primary, make().catalog, quota=DEFAULT_QUOTA)
    primary.down = True
    with pytest.raises(Unavailable):
        store.put(b"take", owner="alice")
    assert (store.usage("alice").used, store.usage("alice").reserved) == (0, 0)


def test_an_interrupted_put_is_taken_up_again_by_its_idempotency_key(make: MakeStore) -> None:
    primary = Flaky(name="primary")
    store = AudioStore(primary, make().catalog, quota=DEFAULT_QUOTA)
    primary.down = True
    with pytest.raises(Unavailable):
        store.put(b"take", owner="alice", idempotency_key="k")
    assert store.usage("alice").reserved == 4  # kept, for the next try
    primary.down = False
    file = store.put(b"take", owner="alice", idempotency_key="k")
    assert store.get(file) == b"take"
    assert (store.usage("alice").used, store.usage("alice").reserved) == (4, 0)


def test_files_of_a_backend_that_is_only_read_still_play(make: MakeStore) -> None:
    old, new = MemoryBackend(name="old"), MemoryBackend(name="new")
    catalog = make().catalog
    file = AudioStore(old, catalog, quota=DEFAULT_QUOTA).put(b"take", owner="alice")
    store = AudioStore(new, catalog, backends=[old], quota=DEFAULT_QUOTA)
    assert store.get(file) == b"take"
    assert store.put(b"x", owner="alice").backend == "new"
    with pytest.raises(ConfigurationError, match="old"):
        AudioStore(new, catalog).get(file)


def test_two_backends_of_one_name_are_refused(make: MakeStore) -> None:
    with pytest.raises(ConfigurationError, match="memory"):
        AudioStore(MemoryBackend(), make().catalog, backends=[MemoryBackend()])
