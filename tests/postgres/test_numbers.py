"""Whose numbers count: the database's, which a policy can only tighten, under the owner's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.errors import ConfigurationError, FileTooLarge, QuotaExceeded
from audiostore.models import Limits, Override
from audiostore.testing.customer import Customer
from tests.postgres.databases import Database

MB = 1024 * 1024


@pytest.fixture
def alice(applied: Database) -> Iterator[Customer]:
    catalog = PostgresCatalog.connect(applied.dsn)
    yield Customer(catalog)
    catalog.close()


def plan_of(database: Database, answer: str) -> None:
    database.run(
        "create or replace function audiostore.plan_of(wanted text) returns text"
        f" language plpgsql stable set search_path = '' as $$ begin return {answer}; end $$"
    )


def test_everybody_is_on_the_free_plan_at_first(alice: Customer) -> None:
    assert alice.usage(None).limits == Limits(total=500 * MB, per_file=50 * MB)
    with pytest.raises(FileTooLarge):
        alice.reserves(50 * MB + 1, limits=None)
    alice.reserves(50 * MB, limits=None)


def test_a_policy_can_only_tighten_the_numbers_of_the_database(alice: Customer) -> None:
    asked = Limits(total=900 * MB, per_file=10 * MB, files=7, types=frozenset({"audio/*"}))
    assert alice.usage(asked).limits == Limits(total=500 * MB, per_file=10 * MB, files=7, types=frozenset({"audio/*"}))
    alice.catalog.set_override(alice.name, Override(per_file=None))
    with pytest.raises(QuotaExceeded) as refused:
        alice.reserves(501 * MB, limits=Limits())
    assert refused.value.limit == 500 * MB


def test_a_plan_that_an_admin_changes_counts_at_once(alice: Customer, applied: Database) -> None:
    applied.run("update audiostore.plans set total = 100, per_file = null where name = 'free'")
    alice.reserves(100, limits=None)
    with pytest.raises(QuotaExceeded):
        alice.reserves(1, limits=None)


def test_the_owners_own_numbers_stand_above_plan_and_policy(alice: Customer) -> None:
    alice.catalog.set_override(alice.name, Override(total=None, per_file=None))
    assert alice.usage(Limits(total=5)).limits == Limits()
    alice.stores(600 * MB, limits=None)


def test_an_app_may_say_which_plan_is_whose(alice: Customer, applied: Database) -> None:
    plan_of(applied, "case when wanted like 'alice%' then 'paid' else 'free' end")
    assert alice.usage(None).quota == 5000 * MB


@pytest.mark.parametrize("limits", [None, Limits(total=5)], ids=["no policy", "a policy"])
def test_a_plan_that_does_not_exist_refuses_whatever_else_is_known(
    alice: Customer, applied: Database, limits: Limits | None
) -> None:
    plan_of(applied, "'platinum'")
    alice.catalog.set_override(alice.name, Override(total=1000))
    for ask in (lambda: alice.usage(limits), lambda: alice.reserves(1, limits=limits)):
        with pytest.raises(ConfigurationError, match="platinum"):
            ask()


def test_an_owner_on_no_plan_has_what_the_policy_gives_or_nothing(alice: Customer, applied: Database) -> None:
    plan_of(applied, "null")
    assert alice.usage(Limits(total=5)).quota == 5
    with pytest.raises(QuotaExceeded) as refused:
        alice.reserves(1, limits=None)
    assert refused.value.kind == "unset"
