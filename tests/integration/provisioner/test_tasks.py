"""Proxmox tasks within a job: none is forgotten while it runs, none is begun twice."""

import pytest

from slipway.contracts.values import JobKind, JobState
from slipway.lab import faults
from support.lab_client import NODE
from support.provisioner_side import VMID, Ground, facts_of


async def count(ground: Ground, kind: str) -> int:
    """Count the node's tasks of a kind."""
    return len(await ground.cluster.api.tasks(NODE, vmid=VMID, typefilter=kind))


@pytest.mark.parametrize("status", [401, 500])
async def test_a_task_is_waited_for_through_refusals(ground: Ground, status: int) -> None:
    """A token that is changed, a node in trouble: the backup that runs is still the one that is meant."""
    await ground.make()
    ground.lab.faults.order(faults.TaskHangs(task="vzdump", seconds=2))
    path = "/nodes/*/tasks/*/status"
    ground.lab.faults.order(faults.ApiError(method="GET", path=path, status=status, message="in trouble"))

    record = await ground.run(await ground.command(JobKind.BACKUP))

    assert record.state is JobState.SUCCEEDED, record.error
    assert await count(ground, "vzdump") == 1
    assert ground.answers.asked_for_access == (2 if status == 401 else 1)


async def test_a_task_that_failed_is_forgotten(ground: Ground) -> None:
    """Its lines are told to the last one, and a retry begins a task of its own."""
    await ground.make()
    ground.lab.faults.order(faults.TaskFails(task="vzdump", at="end", message="job errors"))

    record = await ground.run(await ground.command(JobKind.BACKUP))

    assert record.error is not None
    assert record.error.details["command"] == f"vzdump {VMID}"
    assert facts_of(record, "backup.task")["upid"] == ""
    assert record.error.details["last_lines"].splitlines() == await ground.lines()


async def test_a_lost_answer_is_looked_for(ground: Ground) -> None:
    """Nothing is posted twice."""
    await ground.make()
    ground.lab.faults.order(faults.LostAnswer(method="POST", path="/nodes/*/vzdump"))

    record = await ground.run(await ground.command(JobKind.BACKUP))

    assert record.state is JobState.SUCCEEDED, record.error
    assert await count(ground, "vzdump") == 1
