"""Quota policies: how much an owner may keep.

A policy names numbers; the catalog holds owners to them, atomically. Any callable ``owner -> Limits`` is a policy;
these are the usual ones. Sizes are bytes, or text such as ``"500 MB"``; ``None`` is unlimited, 0 is nothing.

Whose number counts, weakest first, the same on every catalog:

1. the environment's default (``MAX_FILE_SIZE_MB``, ``FREE_USER_QUOTA_MB``, …, else the defaults below),
2. the owner's plan: what ``tier_of(owner)`` says, a name of ``tiers``,
3. the owner's own override: ``store.set_quota(owner, …, until=…)``, until it runs out or is cleared.

A catalog with numbers of its own (Postgres) holds owners to those; a policy can then only tighten them.

A policy that can't tell refuses: it raises, and nothing is stored. It never "proceeds anyway".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from audiostore import media
from audiostore.errors import AudioStoreError, ConfigurationError, Unavailable
from audiostore.models import Limits
from audiostore.protocols import QuotaPolicy
from audiostore.sizes import Size, parse_size

Tier: TypeAlias = QuotaPolicy | Limits | Size | None
"""What a tier may be: a policy, limits, a size for all files together, or ``None`` for unlimited."""


class Policy:
    """What our policies share: ``one & other`` is the tightest of both. *other* may be any policy, also a function.

    >>> (FixedQuota("1 GB") & FixedQuota("500 MB", per_file="20 MB"))("alice")
    Limits(total=524288000, per_file=20971520, files=None, types=None)

    A policy that leaves the numbers to the catalog (``CatalogQuota``) can't be joined with one that gives some: no
    one here knows which are tighter, so the joint policy refuses with ``ConfigurationError``. Nor is there a need:
    a catalog with numbers of its own takes the tighter of them and any policy's.
    """

    __slots__ = ()

    def __call__(self, owner: str) -> Limits | None:
        raise NotImplementedError

    def __and__(self, other: QuotaPolicy) -> Policy:
        return _Tightest(self, other) if callable(other) else NotImplemented

    def __rand__(self, other: QuotaPolicy) -> Policy:
        return _Tightest(other, self) if callable(other) else NotImplemented


@dataclass(frozen=True, slots=True)
class Unlimited(Policy):
    """No limit for anyone."""

    def __call__(self, owner: str) -> Limits:
        return Limits()


@dataclass(frozen=True, slots=True, init=False, repr=False)
class FixedQuota(Policy):
    """The same limits for every owner.

    >>> FixedQuota("500 MB", per_file="50 MB", types={"audio/*"})("alice").per_file
    52428800

    Args:
        total: for all files of an owner together.
        per_file: for each single file.
        files: how many files.
        types: the media types that are let in, such as ``"audio/mpeg"`` or ``"audio/*"``.

    Raises:
        ValueError: a negative number, text that is no size, no media type, or no type at all.
        TypeError: a number or a collection of another kind.
    """

    limits: Limits

    def __init__(
        self,
        total: Size | None = None,
        *,
        per_file: Size | None = None,
        files: int | None = None,
        types: Iterable[str] | None = None,
    ) -> None:
        limits = Limits(total=_size(total), per_file=_size(per_file), files=_count(files), types=_types(types))
        object.__setattr__(self, "limits", limits)

    def __call__(self, owner: str) -> Limits:
        return self.limits

    def __repr__(self) -> str:
        numbers = {name: getattr(self.limits, name) for name in ("total", "per_file", "files")}
        shown = [f"{name}={value}" for name, value in numbers.items() if value is not None]
        if self.limits.types is not None:
            # A set's own order changes from run to run.
            shown.append(f"types={{{', '.join(map(repr, sorted(self.limits.types)))}}}")
        return f"FixedQuota({', '.join(shown)})"


@dataclass(frozen=True, slots=True, init=False)
class TieredQuota(Policy):
    """Each owner has the limits of a plan.

    >>> quota = TieredQuota(lambda owner: "paid" if owner == "alice" else "free")
    >>> quota("alice").total, quota("bob").total
    (5242880000, 524288000)

    Args:
        tier_of: ``owner -> name of a tier``. It is asked at every decision, so keep it quick.
        tiers: name -> ``Tier``; ``DEFAULT_TIERS`` if not given. A bare size limits the total alone.

    Raises:
        Unavailable: when asked for an owner whose tier can't be told, since ``tier_of`` raised.
        ConfigurationError: when ``tier_of`` gives a name that is no tier, or no name; or when there are no tiers.
    """

    tier_of: Callable[[str], str]
    tiers: Mapping[str, QuotaPolicy] = field(hash=False)

    def __init__(self, tier_of: Callable[[str], str], tiers: Mapping[str, Tier] | None = None) -> None:
        if not callable(tier_of):
            raise TypeError(f"tier_of is a function from an owner to a tier's name, not {type(tier_of).__name__}")
        tiers = DEFAULT_TIERS if tiers is None else tiers
        if not tiers:
            raise ConfigurationError("tiers is empty: no owner could store anything")
        object.__setattr__(self, "tier_of", tier_of)
        object.__setattr__(self, "tiers", {name: _policy(tier) for name, tier in tiers.items()})

    def __call__(self, owner: str) -> Limits | None:
        return self.tiers[self._tier(owner)](owner)

    def _tier(self, owner: str) -> str:
        try:
            tier = self.tier_of(owner)
        except AudioStoreError:
            raise
        except Exception as error:
            raise Unavailable(f"the quota of owner {owner!r} could not be read", retryable=True) from error
        known = ", ".join(map(repr, self.tiers))
        if not isinstance(tier, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"tier_of gave {type(tier).__name__} for owner {owner!r}, not one of {known}")
        if tier not in self.tiers:
            raise ConfigurationError(f"unknown tier {tier!r} of owner {owner!r}: the tiers are {known}")
        return tier


@dataclass(frozen=True, slots=True)
class CatalogQuota(Policy):
    """The numbers are the catalog's own: the database's, or what ``set_quota`` gave the owner.

    An owner for whom the catalog has no number is refused with ``QuotaExceeded(kind="unset")``. For a default
    below ``set_quota`` use ``FixedQuota`` or ``TieredQuota``: overrides stand above every policy.
    """

    def __call__(self, owner: str) -> None:
        return None


@dataclass(frozen=True, slots=True, repr=False)
class _Tightest(Policy):
    one: QuotaPolicy
    other: QuotaPolicy

    def __call__(self, owner: str) -> Limits | None:
        one, other = self.one(owner), self.other(owner)
        if one is None and other is None:
            return None
        if one is None or other is None:
            raise ConfigurationError(
                f"{self!r} joins numbers of the catalog with numbers of a policy, and can't tell which are tighter"
            )
        return one & other

    def __repr__(self) -> str:
        return f"{self.one!r} & {self.other!r}"


def _policy(tier: Tier) -> QuotaPolicy:
    if isinstance(tier, Limits):
        return FixedQuota(tier.total, per_file=tier.per_file, files=tier.files, types=tier.types)
    if tier is None:
        return Unlimited()
    return tier if callable(tier) else FixedQuota(tier)


def _size(size: Size | None) -> int | None:
    return None if size is None else parse_size(size)


def _count(files: int | None) -> int | None:
    if files is None:
        return None
    if isinstance(files, bool) or not isinstance(files, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"files is a number of files, not {type(files).__name__}")
    if files < 0:
        raise ValueError(f"files can't be negative: {files}")
    return files


def _types(types: Iterable[str] | None) -> frozenset[str] | None:
    if types is None:
        return None
    if isinstance(types, str):
        raise TypeError(f"types is a collection of media types: {{{types!r}}}, not {types!r}")
    rules = frozenset(_rule(each) for each in types)
    if not rules:
        raise ValueError("types is empty, so nothing could be stored; leave it out to let everything in")
    return rules


def _rule(rule: str) -> str:
    if rule == "*/*":
        return rule
    if isinstance(rule, str) and rule.endswith("/*"):  # pyright: ignore[reportUnnecessaryIsInstance]
        return media.normalise(f"{rule[:-1]}any").removesuffix("any") + "*"
    return media.normalise(rule)


DEFAULT_QUOTA: Final = FixedQuota(total="500 MB", per_file="50 MB")
"""What an owner may keep when nobody says otherwise."""

DEFAULT_TIERS: Final[Mapping[str, Tier]] = MappingProxyType(
    {"free": DEFAULT_QUOTA, "paid": FixedQuota(total="5000 MB", per_file="50 MB")}
)
"""The plans when nobody names others."""
