"""Every operation is broken at every step that it takes across a seam, in every way; then all must agree again.

The steps are not listed anywhere: a clean run of each operation is recorded, and each step that it took is broken.
On disk a death is a real one: a process of its own, killed by SIGKILL at that very step.
"""

from __future__ import annotations

import pytest

from audiostore.protocols import Backend, Catalog
from tests.crashes.breaking import KINDS, break_at, plans, record
from tests.crashes.faults import Step
from tests.crashes.operations import OPERATIONS

NOT_CROSSED = {
    "backend.close",
    "catalog.close",
    "backend.move",  # the facade moves records, never bytes
    "backend.sign",  # only for backends with a server of their own
    "backend.sign_upload",
    "catalog.override",
    "catalog.plan",
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_broken_at_any_step_it_leaves_the_old_or_the_new(kind: str, name: str) -> None:
    steps, broken = record(kind, OPERATIONS[name]), set[Step]()
    for plan in plans(steps):
        broken |= break_at(kind, OPERATIONS[name], plan).steps
    assert broken == set(steps), "steps that nothing has broken"


REPEATABLE = [name for name, each in OPERATIONS.items() if each.repeatable]


@pytest.mark.parametrize("name", REPEATABLE)
def test_made_again_after_any_broken_step_it_is_done_once(name: str) -> None:
    for plan in plans(record("memory", OPERATIONS[name])):
        break_at("memory", OPERATIONS[name], plan, again=True)


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_undoes_it_may_break_too(name: str) -> None:
    for first in plans(record("memory", OPERATIONS[name])):
        for second in plans(break_at("memory", OPERATIONS[name], first).rest):
            assert len(break_at("memory", OPERATIONS[name], [*first, *second]).steps) == 2


def test_the_operations_cross_each_seam_by_every_method() -> None:
    crossed = {
        f"{step.seam.partition(':')[0]}.{step.call}" for each in OPERATIONS.values() for step in record("memory", each)
    }
    methods = {
        f"{part.__name__.lower()}.{name}" for part in (Backend, Catalog) for name in vars(part) if name[0] != "_"
    }
    assert methods - crossed - {"backend.name"} == NOT_CROSSED
