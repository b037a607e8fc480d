from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from audiostore import (
    AudioStore,
    CatalogQuota,
    ConfigurationError,
    FileTooLarge,
    FixedQuota,
    Limits,
    ProjectUsage,
    QuotaExceeded,
    TieredQuota,
    Unavailable,
    Unlimited,
)

from .conftest import Clock, MakeStore


def test_usage_by_project_adds_up_the_files_of_each(make: MakeStore) -> None:
    store = make()
    for project, size in (("p1", 10), ("p1", 20), (7, 3), (None, 5)):
        store.put(b"x" * size, owner="alice", project=project)
    store.delete(store.put(b"gone", owner="alice", project="p1"))
    store.put(b"his", owner="bob", project="p1")
    store.begin_upload(owner="alice", size=250, project="p1")
    assert store.usage_by_project("alice") == {
        "p1": ProjectUsage(used=30, files=2),
        "7": ProjectUsage(used=3, files=1),
        None: ProjectUsage(used=5, files=1),
    }
    assert store.usage_by_project("carol") == {}
    with pytest.raises(ValueError, match="owner"):
        store.usage_by_project("")


def test_usage_by_project_reads_on_beyond_one_page(make: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiostore.store.accounts.PAGE", 2)
    store = make()
    for _ in range(5):
        store.put(b"take", owner="alice", project="p1")
    assert store.usage_by_project("alice") == {"p1": ProjectUsage(used=20, files=5)}


def test_usage_says_what_is_used_and_what_is_left(make: MakeStore) -> None:
    store = make(quota=FixedQuota(1000, per_file=500, files=10))
    store.put(b"x" * 250, owner="alice")
    store.begin_upload(owner="alice", size=250)
    usage = store.usage("alice")
    assert (usage.used, usage.reserved, usage.quota, usage.available) == (250, 250, 1000, 500)
    assert (usage.files, usage.percent) == (1, 50.0)


def test_unlimited_has_no_percent_and_nothing_is_full(make: MakeStore) -> None:
    assert make(quota=Unlimited()).usage("alice").percent is None
    zero = make(quota=FixedQuota(0))
    assert zero.usage("alice").percent == 100.0
    with pytest.raises(QuotaExceeded):
        zero.put(b"x", owner="alice")


def test_the_defaults_are_500_mb_and_50_mb_a_file(store: AudioStore) -> None:
    limits = store.quota_of("anyone").limits
    assert (limits.total, limits.per_file) == (500 * 2**20, 50 * 2**20)


def test_plans_differ_and_an_override_wins_over_the_plan_until_it_ends(make: MakeStore, clock: Clock) -> None:
    store = make(quota=TieredQuota(lambda owner: "paid" if owner == "rich" else "free"))
    assert store.usage("rich").quota == 5000 * 2**20
    assert store.usage("poor").quota == 500 * 2**20

    until = datetime.fromtimestamp(clock.now, UTC) + timedelta(days=30)
    quota = store.set_quota("poor", "1 GB", files=3, until=until)

    assert quota.limits == Limits(total=2**30, per_file=50 * 2**20, files=3)
    assert quota.policy == Limits(total=500 * 2**20, per_file=50 * 2**20)
    assert quota.override is not None
    assert store.usage("poor").quota == 2**30
    clock.advance(timedelta(days=31))
    assert store.usage("poor").quota == 500 * 2**20
    assert store.quota_of("poor").override is None


def test_an_override_can_tighten_free_and_be_taken_back(make: MakeStore) -> None:
    store = make(quota=FixedQuota(100, per_file=50))
    store.set_quota("alice", 10)
    with pytest.raises(QuotaExceeded):
        store.put(b"x" * 11, owner="alice")
    store.set_quota("alice", None, per_file="1 KB")
    assert store.usage("alice").quota is None
    store.delete(store.put(b"x" * 1000, owner="alice"))
    store.clear_quota("alice")
    assert store.usage("alice").quota == 100
    with pytest.raises(FileTooLarge):
        store.put(b"x" * 51, owner="alice")


def test_lowering_a_quota_deletes_nothing(make: MakeStore) -> None:
    store = make(quota=FixedQuota(100))
    file = store.put(b"x" * 100, owner="alice")
    store.set_quota("alice", 10)
    usage = store.usage("alice")
    assert (usage.available, usage.percent) == (0, 1000.0)
    assert store.get(file)
    with pytest.raises(QuotaExceeded):
        store.put(b"x", owner="alice")


def test_senseless_overrides_are_refused(store: AudioStore) -> None:
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - that is the point
    for wrong in ({}, {"total": -1}, {"total": "lots"}, {"files": -1}, {"total": 1, "until": naive}):
        with pytest.raises(ValueError, match=r"."):
            store.set_quota("alice", **wrong)  # pyright: ignore[reportArgumentType]
    assert store.quota_of("alice").override is None


def test_where_the_catalog_has_the_numbers_an_owner_without_one_is_refused(make: MakeStore) -> None:
    store = make(quota=CatalogQuota())
    with pytest.raises(QuotaExceeded) as refused:
        store.put(b"x", owner="alice")
    assert refused.value.kind == "unset"
    store.catalog.set_override("alice", None)
    with pytest.raises(QuotaExceeded):
        store.usage("alice")
    with pytest.raises(QuotaExceeded):
        store.begin_upload(owner="alice", size=1)


def test_a_quota_set_on_the_catalog_lets_its_owner_in(make: MakeStore) -> None:
    store = make(quota=CatalogQuota())
    store.set_quota("alice", "1 MB")
    assert store.put(b"x", owner="alice").size == 1
    assert store.usage("alice").quota == 2**20


def test_a_plan_that_cannot_be_told_refuses(make: MakeStore) -> None:
    def down(owner: str) -> str:
        raise TimeoutError(owner)

    with pytest.raises(Unavailable):
        make(quota=TieredQuota(down)).put(b"x", owner="alice")
    with pytest.raises(ConfigurationError, match="gold"):
        make(quota=TieredQuota(lambda owner: "gold")).put(b"x", owner="alice")

    def bare_number(owner: str) -> int:
        return 500

    with pytest.raises(ConfigurationError):
        make(quota=bare_number).put(b"x", owner="alice")
