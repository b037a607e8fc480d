"""Every operation is broken at every step that it takes across a seam, in every way; then all must agree again.

The steps are not listed anywhere: a clean run of each operation is recorded, and each step that it took is broken.
On disk a death is a real one: a process of its own, killed by SIGKILL at that very step.
"""

from __future__ import annotations

import pytest

from audiostore.protocols import Backend, Catalog
from tests.crashes.breaking import KINDS, break_at, fewer, in_turn, plans, record
from tests.crashes.faults import Step
from tests.crashes.operations import OPERATIONS
from tests.shares import WHOLE, share

NOT_CROSSED = {
    "backend.close",
    "catalog.close",
    "backend.move",  # the facade moves records, never bytes
    "catalog.override",
    "catalog.adopt",  # how records come from another catalog
    "catalog.has_plans",  # a constant, like a backend's name
    "catalog.plan",
}
ONLY_WITH_A_SERVER = {"backend.sign", "backend.sign_upload"}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_broken_at_any_step_it_leaves_the_old_or_the_new(kind: str, name: str) -> None:
    steps, broken = record(kind, OPERATIONS[name]), set[Step]()
    # In memory each step in every way. On disk, which takes far longer, only a soak does; else the ways take turns.
    for plan in plans(steps) if kind == "memory" or WHOLE else in_turn(plans(steps)):
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
    assert methods - crossed - {"backend.name"} == NOT_CROSSED | ONLY_WITH_A_SERVER


ASKS_THE_SAME = {"put with progress", "put processed", "put beside a fallback"}
"""What asks the parts for the same as a plain put."""
ONLY_READS = {"get", "look"}
DONE_ONCE = ["put with an idempotency key", "finish upload"]


@pytest.mark.slow
class TestOnSupabase:
    """Bytes on a served fake, accounting in a real Postgres. Of each operation every third plan; a soak takes more,
    and ``whole_matrix.py`` leaves nothing out.
    """

    @pytest.mark.parametrize("name", [each for each in OPERATIONS if each not in ASKS_THE_SAME | ONLY_READS])
    def test_broken_at_any_step_it_leaves_the_old_or_the_new(self, name: str) -> None:
        for plan in share(fewer(plans(record("cloud", OPERATIONS[name]))), one_in=3):
            assert break_at("cloud", OPERATIONS[name], plan).steps

    @pytest.mark.parametrize("name", DONE_ONCE)
    def test_made_again_after_any_broken_step_it_is_done_once(self, name: str) -> None:
        for plan in fewer(plans(record("cloud", OPERATIONS[name]))):
            break_at("cloud", OPERATIONS[name], plan, again=True)

    def test_the_server_is_asked_for_links(self) -> None:
        crossed = {
            f"backend.{step.call}" for name in ("look", "begin upload") for step in record("cloud", OPERATIONS[name])
        }
        assert crossed >= ONLY_WITH_A_SERVER
