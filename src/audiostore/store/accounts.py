"""Chapter five: what an owner has, and may have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from audiostore.models import UNSET, Override, ProjectUsage, Quota, Unset, Usage, parse_text
from audiostore.sizes import Size, parse_size
from audiostore.store.parts import StoreParts
from audiostore.store.reading import PAGE


class Accounts(StoreParts):
    """``usage usage_by_project``, ``quota_of set_quota clear_quota``.

    Three things decide an owner's limits, the later over the earlier: the policy's default (``from_env``: the
    environment), the owner's plan (``TieredQuota``), the owner's own override, set here. That order is the same on
    every catalog. On a database that has numbers of its own (``CatalogQuota``), they are the plan, and another
    policy can only tighten them.
    """

    def usage(self, owner: str) -> Usage:
        """Tell what *owner* has, in bytes and files, and what is left; the limits in force are in ``.limits``.

        Raises:
            QuotaExceeded: ``kind="unset"``, the policy leaves the numbers to a catalog that has none.
            Unavailable: the quota or the catalog can't be read.

        """
        return self.catalog.usage(parse_text("owner", owner), self._limits(owner))

    def usage_by_project(self, owner: str) -> Mapping[str | None, ProjectUsage]:
        """Tell what each project of *owner* takes, by its id; files without a project are under ``None``.

        Quotas are an owner's, not a project's, so nobody keeps these sums: all records of *owner* are read for them,
        a page at a time. What is under way, or still being erased, is in ``usage`` alone.

        >>> store.usage_by_project("alice")["p1"].files
        1

        Raises:
            Unavailable: the catalog can't be read.

        """
        found = dict[str | None, ProjectUsage]()
        after = None
        while page := self.catalog.list(parse_text("owner", owner), after=after, limit=PAGE):
            for file in page:
                before = found.get(file.project, ProjectUsage())
                found[file.project] = ProjectUsage(used=before.used + file.size, files=before.files + 1)
            after = page[-1].id
        return found

    def quota_of(self, owner: str) -> Quota:
        """Tell the limits in force for *owner*, and what they come from: the policy, and perhaps an override.

        On a catalog that has plans, ``policy`` is the plan, tightened by the store's own policy if it has one.
        """
        policy = self._limits(parse_text("owner", owner))
        plan = self.catalog.plan(owner)
        standing = policy & plan if policy is not None and plan is not None else policy or plan
        return Quota(
            limits=self.catalog.usage(owner, policy).limits,
            policy=standing,
            override=self.catalog.override(owner),
        )

    def set_quota(
        self,
        owner: str,
        total: Size | Unset | None = UNSET,
        *,
        per_file: Size | Unset | None = UNSET,
        files: int | Unset | None = UNSET,
        until: datetime | None = None,
    ) -> Quota:
        """Give *owner* numbers of their own, above every policy, for good or *until* an aware time.

        ``None`` is unlimited; a number that is not given stays the policy's. It replaces an earlier override.
        Lowering a quota below what is used deletes nothing: it only refuses new files.

        Raises:
            ValueError: no number at all, a negative one, or a naive *until*.

        """
        if total is UNSET and per_file is UNSET and files is UNSET:
            raise ValueError("give at least one of total, per_file, files")
        if until is not None and until.tzinfo is None:
            raise ValueError("until must be an aware datetime")
        override = Override(total=_size(total), per_file=_size(per_file), files=_size(files), until=until)
        self.catalog.set_override(parse_text("owner", owner), override)
        return self.quota_of(owner)

    def clear_quota(self, owner: str) -> None:
        """Take *owner*'s override back; the policy's numbers count again."""
        self.catalog.set_override(parse_text("owner", owner), None)


def _size(size: Size | Unset | None) -> int | Unset | None:
    return size if size is None or isinstance(size, Unset) else parse_size(size)
