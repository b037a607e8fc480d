"""What projects name, read in one pass: the cost is that of the projects, not of files times projects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audiostore.migrate.protocols import Reference, References, Unparsable


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Every reference by the exact text that names its audio; ``projects`` is how many projects were read."""

    by_path: Mapping[str, tuple[Reference, ...]]
    projects: int
    unparsable: tuple[Unparsable, ...] = ()

    @classmethod
    def of(cls, references: References | None, *, owner: str | None = None) -> Index:
        """Read every project once; with *owner*, keep only that owner's. Raises what ``references.scan`` raises."""
        by_path: dict[str, tuple[Reference, ...]] = {}
        unparsable: list[Unparsable] = []
        projects = 0
        for row in () if references is None else references.scan(owner=owner):
            projects += 1
            assert references is not None
            found = references.find(row)
            if isinstance(found, Unparsable):
                unparsable.append(found)
                continue
            for each in found:
                by_path[each.path] = (*by_path.get(each.path, ()), each)
        return cls(by_path=by_path, projects=projects, unparsable=tuple(unparsable))
