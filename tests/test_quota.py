"""Quota policies: what they say, what they refuse, and that joining two never loosens one."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiostore import CatalogQuota, FixedQuota, Limits, TieredQuota, Unlimited
from audiostore.errors import AudioStoreError, ConfigurationError, QuotaExceeded, Unavailable
from audiostore.models import allows
from audiostore.quota import DEFAULT_QUOTA, DEFAULT_TIERS, Policy

MB = 1024 * 1024
TIERS = {"alice": "paid", "bob": "free", "eve": "unheard-of"}


def test_the_defaults_are_50_mb_a_file_and_500_or_5000_mb_in_all() -> None:
    tiers = TieredQuota(TIERS.__getitem__)
    assert DEFAULT_QUOTA("anyone") == Limits(total=500 * MB, per_file=50 * MB)
    assert tiers("bob") == Limits(total=500 * MB, per_file=50 * MB)
    assert tiers("alice") == Limits(total=5000 * MB, per_file=50 * MB)
    assert set(DEFAULT_TIERS) == {"free", "paid"}


def test_nothing_given_is_no_limit() -> None:
    assert Unlimited()("alice") == FixedQuota()("alice") == FixedQuota(None)("alice") == Limits()


def test_sizes_are_bytes_or_text() -> None:
    quota = FixedQuota("1.5 GB", per_file=1000, files=3, types=["audio/X-WAV", "audio/*"])
    assert quota("alice") == Limits(total=1536 * MB, per_file=1000, files=3, types=frozenset({"audio/wav", "audio/*"}))
    assert FixedQuota(total=0)("alice").total == 0


@pytest.mark.parametrize("wrong", [-1, "-2", "lots", "", "5 elephants", "1e9"])
def test_a_size_that_is_none_is_refused_at_once(wrong: int | str) -> None:
    with pytest.raises(ValueError, match="size"):
        FixedQuota(wrong)
    with pytest.raises(ValueError, match="size"):
        FixedQuota(per_file=wrong)
    with pytest.raises(ValueError, match="size"):
        TieredQuota(str, {"free": wrong})


@pytest.mark.parametrize("wrong", [1.5, True, b"1", [1]])
def test_a_size_of_another_kind_is_refused_at_once(wrong: object) -> None:
    with pytest.raises(TypeError):
        FixedQuota(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_number_of_files_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match="negative"):
        FixedQuota(files=-1)
    with pytest.raises(TypeError):
        FixedQuota(files="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError):
        FixedQuota(files=True)


@pytest.mark.parametrize(
    "wrong", ["audio", "audio/", "/mpeg", "*/mpeg", "*", "audio/mp eg", "audio/mpeg\r\nX: 1", "", "/*"]
)
def test_a_type_rule_that_is_none_is_refused_at_once(wrong: str) -> None:
    with pytest.raises(ValueError, match="media type"):
        FixedQuota(types={wrong})


def test_types_are_a_collection_that_is_not_empty() -> None:
    with pytest.raises(TypeError, match="collection"):
        FixedQuota(types="audio/*")
    with pytest.raises(ValueError, match="empty"):
        FixedQuota(types=())


def test_types_are_kept_under_their_usual_name() -> None:
    types = FixedQuota(types={"AUDIO/*", "audio/mp3; q=1", "*/*"})("alice").types
    assert types == frozenset({"audio/*", "audio/mpeg", "*/*"})


# Tiers


def test_a_tier_is_a_policy_or_limits_or_a_size() -> None:
    quota = TieredQuota(
        str,
        {
            "a": "2 MB",
            "b": 5,
            "c": Limits(files=2),
            "d": FixedQuota(files=1),
            "e": None,
            "f": lambda _: Limits(total=7),
        },
    )
    assert [quota(each) for each in "abcdef"] == [
        Limits(total=2 * MB),
        Limits(total=5),
        Limits(files=2),
        Limits(files=1),
        Limits(),
        Limits(total=7),
    ]


def test_a_tier_of_that_raises_refuses() -> None:
    with pytest.raises(Unavailable, match="the quota of owner 'carol' could not be read") as caught:
        TieredQuota(TIERS.__getitem__)("carol")
    assert caught.value.retryable
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_tier_of_says_in_our_own_words_goes_through() -> None:
    def tier_of(owner: str) -> str:
        raise QuotaExceeded(owner, limit=0)

    with pytest.raises(QuotaExceeded):
        TieredQuota(tier_of)("carol")


def test_an_unknown_tier_refuses_and_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"'unheard-of' of owner 'eve': the tiers are 'free', 'paid'"):
        TieredQuota(TIERS.__getitem__)("eve")


@pytest.mark.parametrize("wrong", [None, 1, True, ["free"]])
def test_a_tier_that_is_no_name_refuses(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match=type(wrong).__name__):
        TieredQuota(lambda _: wrong)("eve")  # type: ignore[arg-type,return-value]  # pyright: ignore[reportArgumentType]


def test_tiers_that_can_not_work_are_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        TieredQuota(str, {})
    with pytest.raises(TypeError, match="tier_of"):
        TieredQuota("free")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_changing_the_callers_tiers_afterwards_changes_nothing() -> None:
    tiers: dict[str, str] = {"free": "1 MB"}
    quota = TieredQuota(lambda _: "free", tiers)
    tiers["free"] = "9 GB"
    assert quota("bob").total == MB  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


# Joining


def a_function(owner: str) -> Limits:
    return Limits(total=100, files=9)


def test_two_policies_joined_are_the_tightest_of_both() -> None:
    one = FixedQuota(200, files=3, types={"audio/*"})
    both = Limits(total=100, files=3, types=frozenset({"audio/*"}))
    assert (one & a_function)("alice") == (a_function & one)("alice") == both
    assert (one & FixedQuota(types={"audio/mpeg", "image/png"}) & a_function)("alice").types == {"audio/mpeg"}  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


numbers = st.none() | st.integers(0, 50)
rules = st.none() | st.frozensets(st.sampled_from(["audio/mpeg", "audio/wav", "audio/*", "image/*", "*/*"]), min_size=1)
policies = st.builds(FixedQuota, numbers, per_file=numbers, files=numbers, types=rules)


@settings(deadline=None)
@given(policies, policies)
def test_joining_never_loosens_and_its_order_does_not_matter(one: FixedQuota, other: FixedQuota) -> None:
    both = (one & other)("alice")
    assert both == (other & one)("alice")
    assert both is not None
    for each in (one("alice"), other("alice")):
        for name in ("total", "per_file", "files"):
            limit, joined = getattr(each, name), getattr(both, name)
            assert limit is None or (joined is not None and joined <= limit)
        for kind in ("audio/mpeg", "audio/wav", "audio/flac", "image/png", "text/plain"):
            assert _lets_in(each, kind) or not _lets_in(both, kind)
            assert _lets_in(both, kind) == (_lets_in(one("alice"), kind) and _lets_in(other("alice"), kind))


def _lets_in(limits: Limits, kind: str) -> bool:
    return limits.types is None or allows(limits.types, kind)


def test_the_catalogs_numbers_are_never_mixed_with_a_policys() -> None:
    assert CatalogQuota()("alice") is None
    assert (CatalogQuota() & CatalogQuota())("alice") is None
    for joined in (
        CatalogQuota() & FixedQuota("1 GB"),
        FixedQuota("1 GB") & CatalogQuota(),
        a_function & CatalogQuota(),
    ):
        with pytest.raises(ConfigurationError, match="CatalogQuota"):
            joined("alice")


def test_an_error_on_either_side_refuses() -> None:
    broken = TieredQuota(TIERS.__getitem__)
    for joined in (broken & FixedQuota(1), FixedQuota(1) & broken):
        with pytest.raises(AudioStoreError):
            joined("carol")


def test_a_policy_is_joined_with_policies_only() -> None:
    with pytest.raises(TypeError):
        FixedQuota(1) & 5  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnusedExpression]
    with pytest.raises(TypeError):
        5 & FixedQuota(1)  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnusedExpression]


# Values


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        (Unlimited(), "Unlimited()"),
        (CatalogQuota(), "CatalogQuota()"),
        (
            FixedQuota("1 kb", types={"audio/wav", "audio/aac"}),
            "FixedQuota(total=1024, types={'audio/aac', 'audio/wav'})",
        ),
        (FixedQuota(per_file=1) & Unlimited(), "FixedQuota(per_file=1) & Unlimited()"),
    ],
)
def test_a_policy_shows_how_it_was_made_and_is_a_value(policy: Policy, shown: str) -> None:
    assert repr(policy) == shown
    again = pickle.loads(pickle.dumps(policy))
    assert again == policy
    assert hash(again) == hash(policy)
    assert again("alice") == policy("alice") if not isinstance(policy, CatalogQuota) else True


def tier_by_name(owner: str) -> str:
    return "paid" if owner == "alice" else "free"


def test_tiers_survive_pickling() -> None:
    quota = TieredQuota(tier_by_name, {"paid": "2 MB", "free": FixedQuota("1 MB")})
    again = pickle.loads(pickle.dumps(quota))
    assert again == quota
    assert again("alice") == quota("alice") != again("bob")
    assert quota != TieredQuota(tier_by_name)
    assert "paid" in repr(quota)


def test_policies_that_differ_are_not_equal() -> None:
    assert FixedQuota(1) != FixedQuota(2)
    different: list[object] = [FixedQuota(), CatalogQuota()]
    assert Unlimited() not in different
    assert FixedQuota("1 MB") == FixedQuota(MB)


def test_a_policy_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        FixedQuota(1).limits = Limits()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_policies_are_values_that_can_be_kept_in_a_set() -> None:
    tiers = TieredQuota(str, {"free": FixedQuota(total=1), "paid": Unlimited()})
    made = [tiers, FixedQuota(total=1), Unlimited(), CatalogQuota(), Unlimited() & FixedQuota(files=2)]
    assert len({*made, *made}) == len(made)
    assert not any(hasattr(each, "__dict__") for each in made), "and nothing can be hung onto them"
