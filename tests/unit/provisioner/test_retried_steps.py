"""Where a retry begins, and what it leaves."""

import pytest

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.values import Phase
from slipway.provisioner.engine.step import before_first, before_retry
from slipway.provisioner.pipelines import CREATE, OTHERS


@pytest.mark.parametrize(
    ("kind", "first", "skipped"),
    [
        (JobKind.RESTART, "restart.start", {"restart.look", "restart.reboot", "restart.stop"}),
        (JobKind.RESTORE, "restore.task", set()),
        (JobKind.CLONE, "clone.task", set()),
        (
            JobKind.CLONE,
            "clone.mark",
            {"clone.look", "clone.snapshot", "clone.task", "clone.snapshot-delete"},
        ),
        (JobKind.CLONE, "on-failure.stop", set()),
        (JobKind.CLONE, None, set()),
    ],
)
def test_steps_before_the_failed_one_are_left(kind: JobKind, first: str | None, skipped: set[str]) -> None:
    """But those whose effect was undone: a copy's snapshot is gone, power is not what it was."""
    assert before_retry(OTHERS[kind], first) == skipped


def test_a_step_that_is_done_again_counts_as_before() -> None:
    """What was found out in it is known to the retry."""
    before = before_first(OTHERS[JobKind.RESTORE], "restore.task")

    assert [step.name for step in before] == ["restore.look", "restore.stop"]


@pytest.mark.parametrize("kind", [*OTHERS, JobKind.CREATE])
def test_first_step_begins_at_once(kind: JobKind) -> None:
    """Its begin waits for no other write: people see that their job has begun."""
    steps = OTHERS[kind] if kind in OTHERS else CREATE[Phase.CREATE]

    assert not steps[0].looks_first
