"""Two things at once, and things that go wrong in the middle: each has one answer, and leaves nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier, Event

import pytest

from audiostore import AudioFile, AudioStore, serve
from audiostore.errors import AudioStoreError, NotFound, ReservationExpired, Unavailable
from tests.crashes.faults import AppError
from tests.crashes.worlds import HOLD, LONG, TTL, World

TAKE = b"a take that lasts ".ljust(300, b".")


@pytest.fixture(params=["memory", "disk"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with World(request.param) as world:
        yield world
        world.settle()


def put(world: World) -> AudioFile:
    return world.plain.put(TAKE, owner="alice", project="p1", filename="take.wav")


def broken_off(error: Exception) -> Iterator[bytes]:
    yield TAKE[:100]
    raise error


def assert_nothing_is_left(world: World) -> None:
    usage = world.plain.usage("alice")
    assert (usage.used, usage.reserved, usage.files, usage.pending) == (0, 0, 0, 0)
    assert world.staged() == []
    assert world.objects() == []


class TestTwoAtOnce:
    def test_two_puts_with_one_idempotency_key_store_it_once(self, world: World) -> None:
        start = Barrier(2)

        def once() -> AudioFile | AudioStoreError:
            store = world.second_store()
            start.wait()
            try:
                return store.put(TAKE, owner="alice", idempotency_key="once")
            except Unavailable as error:
                return error

        with ThreadPoolExecutor(2) as threads:
            answers = [each.result() for each in [threads.submit(once), threads.submit(once)]]
        files = {each.id for each in answers if isinstance(each, AudioFile)}
        assert files == {each.id for each in world.plain.list(owner="alice")}
        assert len(files) == 1
        assert all(each.retryable for each in answers if isinstance(each, Unavailable))

    def test_whoever_comes_while_another_puts_with_the_same_key_is_told_to_come_again(self, world: World) -> None:
        def meanwhile() -> Iterator[bytes]:
            yield TAKE

        def told(done: int, resume: str | None) -> None:
            with pytest.raises(Unavailable) as refused:
                world.second_store().put(TAKE, owner="alice", idempotency_key="once")
            assert refused.value.retryable

        first = world.plain.put(meanwhile(), owner="alice", idempotency_key="once", progress=told)
        assert world.plain.put(TAKE, owner="alice", idempotency_key="once") == first

    def test_finishing_an_upload_twice_at_once_gives_one_file(self, world: World) -> None:
        grant = world.plain.begin_upload(owner="alice", size=len(TAKE))
        assert serve(world.plain, grant.url.rpartition("/")[2], "PUT", body=TAKE).status == 201
        start = Barrier(2)

        def finish() -> AudioFile:
            store = world.second_store()
            start.wait()
            return store.finish_upload(grant)

        with ThreadPoolExecutor(2) as threads:
            one, two = (each.result() for each in [threads.submit(finish), threads.submit(finish)])
        assert one == two == world.plain.find(one.id)
        assert world.plain.usage("alice").used == len(TAKE)

    def test_a_stream_goes_on_while_its_file_is_deleted(self, world: World) -> None:
        file = world.plain.put(TAKE * 3, owner="alice")
        with world.plain.stream(file) as stream:
            world.second_store().delete(file, owner="alice")
            assert b"".join(stream) == TAKE * 3
        with pytest.raises(NotFound):
            world.plain.stream(file)

    def test_a_stream_goes_on_with_the_old_bytes_while_its_file_is_replaced(self, world: World) -> None:
        file = put(world)
        with world.plain.stream(file) as stream:
            world.second_store().replace(file, b"new", owner="alice")
            assert b"".join(stream) == TAKE
        assert world.plain.get(file) == b"new"

    def test_deleting_an_owner_ends_the_puts_that_are_under_way(self, world: World) -> None:
        def told(done: int, resume: str | None) -> None:
            world.second_store().delete_owner("alice")

        with pytest.raises(ReservationExpired):
            world.plain.put(TAKE, owner="alice", progress=told)
        world.settle()
        assert_nothing_is_left(world)


class TestTime:
    def test_finishing_an_upload_too_late_keeps_and_charges_nothing(self, world: World) -> None:
        grant = world.plain.begin_upload(owner="alice", size=len(TAKE))
        assert serve(world.plain, grant.url.rpartition("/")[2], "PUT", body=TAKE).status == 201
        world.pass_time(LONG)
        world.plain.sweep()
        with pytest.raises(ReservationExpired):
            world.plain.finish_upload(grant)
        assert_nothing_is_left(world)

    def test_a_slow_put_outlives_the_sweeps(self, world: World) -> None:
        world.configure(slow=True)

        def told(done: int, resume: str | None) -> None:
            world.clock.advance(TTL - timedelta(seconds=1))
            world.second_store().sweep()

        file = world.plain.put(iter([TAKE] * 3), owner="alice", progress=told)
        assert world.plain.get(file) == TAKE * 3

    def test_a_slow_direct_upload_does_not_lose_the_time_that_it_was_granted(self, world: World) -> None:
        world.configure(slow=True)
        grant = world.plain.begin_upload(owner="alice", size=len(TAKE), expires=timedelta(hours=5))
        assert serve(world.plain, grant.url.rpartition("/")[2], "PUT", body=TAKE).status == 201
        world.clock.advance(timedelta(hours=4))
        world.plain.sweep()
        assert world.plain.finish_upload(grant).size == len(TAKE)

    def test_an_owner_gets_room_back_that_the_dead_held_without_a_sweep(self, world: World) -> None:
        world.plain.begin_upload(owner="alice", size=900, expires=timedelta(minutes=1))
        world.pass_time(LONG)
        assert world.plain.put(TAKE, owner="alice").size == len(TAKE)

    def test_a_clock_that_is_set_back_loses_nothing(self, world: World) -> None:
        file = put(world)
        grant = world.plain.begin_upload(owner="alice", size=10)
        world.clock.advance(-LONG)
        world.plain.sweep()
        assert world.plain.get(file) == TAKE
        assert serve(world.plain, grant.url.rpartition("/")[2], "PUT", body=b"0123456789").status == 201
        world.plain.finish_upload(grant)
        second = world.plain.replace(file, b"after", owner="alice")
        world.plain.delete(second)
        assert world.plain.audit().ok


class TestCutShort:
    def test_a_source_that_raises_midway_leaves_nothing(self, world: World) -> None:
        with pytest.raises(AppError):
            world.plain.put(broken_off(AppError("gone")), owner="alice")
        assert_nothing_is_left(world)

    def test_a_closed_file_leaves_nothing(self, world: World) -> None:
        file = io.BytesIO(TAKE)
        file.close()
        with pytest.raises(ValueError, match="closed"):
            world.plain.put(file, owner="alice")
        assert_nothing_is_left(world)

    def test_a_put_that_its_progress_cancels_leaves_nothing(self, world: World) -> None:
        def cancel(done: int, resume: str | None) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            world.plain.put(TAKE, owner="alice", progress=cancel)
        world.plain.sweep()
        assert_nothing_is_left(world)

    def test_a_replacement_that_its_progress_cancels_leaves_the_old_bytes(self, world: World) -> None:
        file = put(world)

        def cancel(done: int, resume: str | None) -> None:
            raise AppError

        with pytest.raises(AppError):
            world.plain.replace(file, TAKE * 2, owner="alice", progress=cancel)
        assert world.plain.get(file) == TAKE
        assert world.plain.usage("alice").reserved == 0

    def test_a_quota_that_cannot_be_read_refuses(self, world: World) -> None:
        def quota(owner: str) -> None:
            raise OSError("the plans are gone")

        store = AudioStore(world.plain.backend, world.plain.catalog, quota=quota)
        with pytest.raises(Unavailable) as refused:
            store.put(TAKE, owner="alice")
        assert isinstance(refused.value.__cause__, OSError)
        assert_nothing_is_left(world)

    def test_a_browser_that_breaks_off_may_send_again(self, world: World) -> None:
        grant = world.plain.begin_upload(owner="alice", size=len(TAKE))
        token = grant.url.rpartition("/")[2]
        headers = {"Content-Length": str(len(TAKE))}
        assert serve(world.plain, token, "PUT", headers, TAKE[:50]).status >= 400
        with suppress(AppError):
            serve(world.plain, token, "PUT", headers, broken_off(AppError()))
        with pytest.raises(NotFound):
            world.plain.finish_upload(grant)
        assert serve(world.plain, token, "PUT", headers, TAKE).status == 201
        assert world.plain.get(world.plain.finish_upload(grant)) == TAKE


class TestSomebodyElses:
    def test_an_upload_that_cannot_be_granted_again_goes_on(self, world: World) -> None:
        grant = world.plain.begin_upload(owner="alice", size=len(TAKE), idempotency_key="once")
        assert serve(world.plain, grant.url.rpartition("/")[2], "PUT", body=TAKE).status == 201
        without_secret = AudioStore(world.plain.backend, world.plain.catalog)
        with pytest.raises(AudioStoreError):
            without_secret.begin_upload(owner="alice", size=len(TAKE), idempotency_key="once")
        assert world.plain.get(world.plain.finish_upload(grant)) == TAKE

    def test_a_processed_upload_whose_key_is_taken_leaves_nothing(self, world: World) -> None:
        store = AudioStore(
            world.plain.backend,
            world.plain.catalog,
            paths=lambda upload: f"{upload.owner}/always-the-same",
            process=lambda staged: staged,
            secret="a secret of the crash machine",
        )
        grant = store.begin_upload(owner="alice", size=len(TAKE))
        assert serve(store, grant.url.rpartition("/")[2], "PUT", body=TAKE).status == 201
        with pytest.raises(AudioStoreError):
            store.finish_upload(grant)
        world.pass_time(LONG)
        world.plain.sweep()
        assert_nothing_is_left(world)

    def test_a_second_finish_waits_its_turn(self, world: World) -> None:
        """While the first one is processing, the second one is late, but the file is stored once."""
        world.configure(processing=True)
        grant = world.store.begin_upload(owner="alice", size=len(TAKE))
        assert serve(world.store, grant.url.rpartition("/")[2], "PUT", body=TAKE).status == 201
        first = world.store.finish_upload(grant)
        world.pass_time(2 * HOLD)
        assert world.store.finish_upload(grant) == first
        assert len(list(world.plain.list(owner="alice"))) == 1


def test_no_thread_waits_for_ever() -> None:
    """A put that hangs in its source holds nobody up."""
    with World("disk") as world, ThreadPoolExecutor(1) as threads:
        go_on, begun = Event(), Event()

        def source() -> Iterator[bytes]:
            yield TAKE
            begun.set()
            go_on.wait()

        hanging = threads.submit(world.plain.put, source(), owner="alice")
        begun.wait()
        assert world.second_store().put(TAKE, owner="alice").size == len(TAKE)
        assert world.second_store().sweep().staging == 0
        go_on.set()
        assert hanging.result().size == len(TAKE)
        world.settle()
