"""Batches, decided: items add up to one state; hashes name what they stand for; names are free."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.contracts.batches import BatchCounts
from slipway.contracts.bulk import PlanItem
from slipway.contracts.job_args import read_args
from slipway.contracts.job_kinds import KINDS, JobKind, NoArgs, ResizeArgs
from slipway.contracts.problems import Problem
from slipway.contracts.values import JobState
from slipway.inventory.batches.rules import (
    LONGEST_MESSAGE,
    PlanNeeded,
    counted,
    destroys,
    ending,
    hash_of,
    names,
    percent,
    refuse_unshown,
    shortened,
)

STATES = st.dictionaries(st.sampled_from([str(state) for state in JobState]), st.integers(1, 50), min_size=1)


@given(states=STATES, asked=st.booleans())
def test_a_batch_has_ended_exactly_when_all_its_items_have(states: dict[str, int], *, asked: bool) -> None:
    """Then it has 100 percent, and it succeeded only if every item did."""
    counts = counted(states)

    state, error = ending(counts, cancel_requested=asked)

    assert state.is_terminal == (counts.queued + counts.running == 0)
    assert (percent(counts) == 100) == state.is_terminal
    assert (state is JobState.SUCCEEDED) == (counts.succeeded == counts.total)
    assert (error is not None) == (state is JobState.FAILED)
    assert state is not JobState.CANCELLED or (asked and counts.cancelled > 0)


def test_one_failure_is_reported_with_its_numbers() -> None:
    """In the message and for programs."""
    _, error = ending(BatchCounts(total=3, succeeded=2, failed=1), cancel_requested=False)

    assert error is not None
    assert error.message.startswith("1 of 3 items did not succeed")
    assert error.details == {"total": "3", "succeeded": "2", "failed": "1"}


def test_a_number_goes_into_the_first_part_of_a_name_with_dots() -> None:
    """The domain stays the domain."""
    assert names("mail.example.com", 2, {"MAIL-1.example.com"}) == (
        "mail-2.example.com",
        "mail-3.example.com",
    )


@given(st.sets(st.sampled_from([f"{name}-{number}" for name in ("web", "WEB") for number in range(1, 9)])))
def test_names_are_the_lowest_free_ones(taken: set[str]) -> None:
    """None is taken, none comes twice, none below the last is left out."""
    batch_names = names("web", 3, taken)

    used = {name.lower() for name in taken}
    assert not used & set(batch_names)
    assert len(set(batch_names)) == 3
    below = int(batch_names[-1].rpartition("-")[2])
    assert {f"web-{number}" for number in range(1, below + 1)} <= used | set(batch_names)


def test_a_hash_stands_for_the_containers_the_kind_and_the_arguments() -> None:
    """Each of them changes it; what a container is busy with does not."""
    items = [PlanItem(container="a", vmid=101, hostname="web-1", cluster="home", node="pve1")]
    busy = [items[0].model_copy(update={"error": Problem(code="job.active", message="busy")})]
    moved = [items[0].model_copy(update={"node": "pve2"})]
    first = hash_of(JobKind.STOP, NoArgs(), items)

    assert hash_of(JobKind.STOP, NoArgs(), busy) == first
    others = {
        hash_of(JobKind.DELETE, NoArgs(), items),
        hash_of(JobKind.STOP, ResizeArgs(cores=2), items),
        hash_of(JobKind.STOP, NoArgs(), moved),
        hash_of(JobKind.STOP, NoArgs(), []),
    }
    assert len(others | {first}) == 5


def test_a_long_error_is_cut_so_that_a_thousand_fit() -> None:
    """Its code stays, its log goes: the job of the item has it."""
    whole = Problem(code="script.failed", message="x" * 5000, details={"tail": "y" * 5000, "step": "sync.1"})

    short = shortened(whole)

    assert short is not None
    assert (short.code, len(short.message), short.details) == (
        "script.failed",
        LONGEST_MESSAGE,
        {"step": "sync.1"},
    )


@pytest.mark.parametrize("kind", [kind for kind in JobKind if kind.destroys])
def test_what_destroys_is_shown_before(kind: JobKind) -> None:
    """Whatever takes something away says what, and is done only as it was shown."""
    items = [PlanItem(container="a", vmid=101, hostname="web-1", cluster="home", node="pve1")]
    args = read_args(KINDS[kind], {"snapshot": "before", "backup": "local:backup/a"})
    hashed = hash_of(kind, args, items)

    with pytest.raises(PlanNeeded):
        refuse_unshown(kind, None, hashed, None, items)
    refuse_unshown(kind, hashed, hashed, None, items)

    assert "101 (web-1)" in destroys(kind, args, items)[0]
