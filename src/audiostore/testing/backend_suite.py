"""What every backend must do, as tests to inherit.

```python
class TestMyBackend(BackendSuite):
    @pytest.fixture
    def backend(self) -> MyBackend:
        return MyBackend(...)
```

Each test works below a folder of its own, so that the backend need not be empty and may be shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audiostore.errors import AlreadyExists, InvalidKey, NotFound, NotSupported
from audiostore.keys import Key
from audiostore.models import UploadGrant
from audiostore.protocols import Backend
from audiostore.testing.bench import Bench
from audiostore.testing.object_tests import ObjectTests

_HOUR = timedelta(hours=1)


class BackendSuite(ObjectTests):
    """Inherit it, give a fixture ``backend``, and run pytest; a failing test's name says what is wrong.

    ``many`` is how many objects make more than one page of a listing. ``creates_once`` is false for a backend whose
    server can't let exactly one of several simultaneous writers of a key win; the catalog guarantees that for a store.
    """

    many: int = 1_100

    @pytest.fixture
    def backend(self) -> Backend:
        raise NotImplementedError("give your suite a fixture named `backend`")

    @pytest.fixture
    def bench(self, backend: Backend, tmp_path: Path) -> Iterator[Bench]:
        bench = Bench(backend, tmp_path)
        yield bench
        bench.clean()
        backend.close()

    # What a backend says about itself

    def test_it_has_a_name_that_stays(self, bench: Bench) -> None:
        assert isinstance(bench.backend.name, str)
        assert bench.backend.name
        assert bench.backend.name == bench.backend.name

    def test_its_staging_place_is_a_folder(self, bench: Bench) -> None:
        staging = bench.backend.capabilities.staging
        assert staging is None or staging.is_dir()

    # List

    def test_a_listing_is_recursive_and_in_order_of_key(self, bench: Bench) -> None:
        paths = ["b/x", "a/x", "a-b/x", "a.b", "a/b/c", "a/b.c", "a/b-c/d", "B/x", "a0", "a+/x"]
        for path in paths:
            bench.write(path, path.encode())
        assert bench.listed() == sorted(paths)
        assert bench.listed("a") == sorted(each for each in paths if each.startswith("a/"))
        assert [each.size for each in bench.backend.list(bench.folder)] == [len(each) for each in sorted(paths)]

    def test_a_listing_tells_what_stat_tells(self, bench: Bench) -> None:
        keys = [bench.write("p1/one.wav", b"1"), bench.write("p1/two.wav", b"22")]
        assert list(bench.backend.list(f"{bench.folder}/p1")) == [bench.backend.stat(key) for key in keys]

    def test_a_prefix_is_a_folder_and_not_the_start_of_a_name(self, bench: Bench) -> None:
        for path in ("alice/p1/x", "alice/p10/x", "alice/p1.wav", "alicia/x"):
            bench.write(path)
        assert bench.listed("alice/p1") == ["alice/p1/x"]
        assert bench.listed("alice") == ["alice/p1.wav", "alice/p1/x", "alice/p10/x"]
        assert bench.listed("ali") == []

    def test_a_prefix_that_is_no_folder_lists_nothing(self, bench: Bench) -> None:
        bench.write("p1/take.wav")
        assert bench.listed("p1/take.wav") == []
        assert bench.listed("missing/folder") == []

    def test_no_prefix_lists_everything(self, bench: Bench) -> None:
        key = bench.write("p1/take.wav")
        keys = [each.key for each in bench.backend.list()]
        assert key in keys
        assert keys == sorted(keys)

    @pytest.mark.parametrize("prefix", ["..", "../x", "/", "/etc", "a//b", "a/../b", "."])
    def test_a_prefix_that_is_no_key_is_refused(self, bench: Bench, prefix: str) -> None:
        with pytest.raises(InvalidKey):
            list(bench.backend.list(prefix))

    def test_more_than_a_page_is_listed_in_order_and_deleted_at_once(self, bench: Bench) -> None:
        paths = [f"p{n % 7}/take_{n}.wav" for n in range(self.many)]
        with ThreadPoolExecutor(8) as pool:
            keys = list(pool.map(bench.write, paths))
        assert bench.listed() == sorted(paths)
        assert bench.listed("p3") == sorted(each for each in paths if each.startswith("p3/"))
        assert bench.backend.delete(keys) == set(keys)
        assert bench.listed() == []

    def test_what_is_listed_may_be_deleted_meanwhile(self, bench: Bench) -> None:
        for n in range(20):
            bench.write(f"p{n}/take.wav")
        seen = [each.key for each in bench.backend.list(bench.folder) if bench.backend.delete([each.key])]
        assert len(seen) == 20
        assert bench.listed() == []

    # Delete

    def test_delete_tells_what_it_really_removed(self, bench: Bench) -> None:
        one, two = bench.write("p1/one.wav"), bench.write("p1/two.wav")
        missing = bench.key("p2/missing.wav")
        assert bench.backend.delete([one, missing]) == {one}
        assert bench.backend.delete([one, two, two]) == {two}
        assert bench.backend.delete([one, two, missing]) == frozenset()
        assert bench.backend.delete([]) == frozenset()

    def test_what_is_deleted_is_gone_and_the_rest_stays(self, bench: Bench) -> None:
        gone = bench.write("p1/take.wav")
        kept = [bench.write(path) for path in ("p1/take.wav2", "p1/take", "p10/take.wav", "p1/take-1/x.wav")]
        bench.backend.delete([gone])
        assert bench.is_missing(gone)
        with pytest.raises(NotFound):
            bench.backend.read(gone)
        assert [bench.read(key) for key in kept] == [b"sound"] * 4

    def test_a_deleted_key_is_free_again(self, bench: Bench) -> None:
        key = bench.write("p1/take.wav", b"old")
        bench.backend.delete([key])
        assert bench.read(bench.write("p1/take.wav", b"new")) == b"new"

    def test_writers_are_not_disturbed_by_deletes_beside_them(self, bench: Bench) -> None:
        def come_and_go(n: int) -> frozenset[Key]:
            key = bench.write(f"shared/{n % 2}/{n}.wav")
            return bench.backend.delete([key])

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(come_and_go, range(64)))
        assert bench.listed() == []

    # Copy and move

    def test_a_copy_stands_on_its_own(self, bench: Bench) -> None:
        source, target = bench.write("take.wav", b"the take"), bench.key("copies/take.wav")
        copied = bench.backend.copy(source, target)
        assert (copied.key, copied.size) == (target, 8)
        assert bench.read(source) == bench.read(target) == b"the take"
        bench.backend.delete([source])
        assert bench.read(target) == b"the take"

    def test_a_move_changes_the_key_alone(self, bench: Bench) -> None:
        source, target = bench.write("old/take.wav", b"the take"), bench.key("new/take.wav")
        moved = bench.backend.move(source, target)
        assert (moved.key, moved.size) == (target, 8)
        assert bench.read(target) == b"the take"
        assert bench.is_missing(source)
        assert bench.listed() == ["new/take.wav"]

    @pytest.mark.parametrize("act", ["copy", "move"])
    def test_copy_and_move_replace_nothing(self, bench: Bench, act: str) -> None:
        source, target = bench.write("take.wav", b"the take"), bench.write("p2/other.wav", b"other")
        for onto in (target, source):
            with pytest.raises(AlreadyExists):
                getattr(bench.backend, act)(source, onto)
        assert bench.read(source) == b"the take"
        assert bench.read(target) == b"other"

    @pytest.mark.parametrize("act", ["copy", "move"])
    def test_copy_and_move_need_a_source(self, bench: Bench, act: str) -> None:
        target = bench.key("p2/target.wav")
        with pytest.raises(NotFound):
            getattr(bench.backend, act)(bench.key("missing.wav"), target)
        assert bench.is_missing(target)

    # Links

    def test_it_signs_or_says_that_it_does_not(self, bench: Bench) -> None:
        key, missing = bench.write("take.wav"), bench.key("missing.wav")
        if not bench.backend.capabilities.signs:
            with pytest.raises(NotSupported):
                bench.backend.sign([key], expires=_HOUR)
            return
        links = bench.backend.sign([key, missing], expires=_HOUR)
        assert set(links) == {key}
        assert timedelta(0) < links[key].expires_at - datetime.now(UTC) <= _HOUR + timedelta(minutes=1)

    def test_it_grants_uploads_or_says_that_it_does_not(self, bench: Bench) -> None:
        def grant() -> UploadGrant:
            return bench.backend.sign_upload(
                bench.key("up.wav"), size=5, content_type="audio/wav", expires=_HOUR, reservation="r1"
            )

        if not bench.backend.capabilities.signs:
            with pytest.raises(NotSupported):
                grant()
            return
        given = grant()
        assert given.reservation == "r1"
        assert given.url
        assert given.expires_at > datetime.now(UTC)
        assert bench.is_missing(bench.key("up.wav"))
