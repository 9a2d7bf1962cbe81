"""Proxmox tasks within a job: none is forgotten while it runs, none is begun twice."""

import asyncio

import pytest

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.values import JobState
from slipway.lab import faults
from slipway.provisioner.engine import journal
from support import lab_client
from support.lab import ended, root_client, template_of
from support.lab_client import NODE
from support.provisioner_side import VMID, Ground, facts_of, status_of


async def count(ground: Ground, kind: str) -> int:
    """Count the node's tasks of a kind."""
    return len(await ground.cluster.api.tasks(NODE, vmid=VMID, typefilter=kind))


@pytest.mark.parametrize("status", [401, 500])
async def test_a_task_is_waited_for_through_refusals(ground: Ground, status: int) -> None:
    """A token that is changed, a node with an outage: the backup that runs is still the one that is meant."""
    await ground.make()
    ground.lab.faults.order(faults.TaskHangs(task="vzdump", seconds=2))
    path = "/nodes/*/tasks/*/status"
    ground.lab.faults.order(faults.ApiError(method="GET", path=path, status=status, message="with an outage"))

    record = await ground.run(await ground.command(JobKind.BACKUP))

    assert record.state is JobState.SUCCEEDED, record.error
    assert await count(ground, "vzdump") == 1
    assert ground.answers.asked_for_access == (2 if status == 401 else 1)


async def test_a_task_that_failed_is_forgotten(ground: Ground) -> None:
    """Its lines are published to the last one, and a retry begins a task of its own."""
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


@pytest.mark.parametrize("seconds", [-120, 120])
@pytest.mark.parametrize("hangs", [0.0, 3.0])
async def test_clocks_do_not_matter(ground: Ground, seconds: float, hangs: float) -> None:
    """The answer of a creation is lost, and the node's clock is wrong: one container all the same."""
    ground.lab.faults.order(faults.ClockOff(seconds=seconds))
    ground.lab.faults.order(faults.TaskHangs(task="vzcreate", seconds=hangs))
    ground.lab.faults.order(faults.LostAnswer(method="POST", path="/nodes/*/lxc"))

    record = await ground.run(await ground.command(JobKind.CREATE))

    assert record.state is JobState.SUCCEEDED, record.error
    assert record.target.vmid == VMID
    assert await count(ground, "vzcreate") == 1
    assert not await ground.is_there(VMID + 1)


async def test_an_older_task_is_not_taken_for_the_lost_one(ground: Ground) -> None:
    """A backup that was made before says nothing of the one whose request never came."""
    await ground.make()
    ground.lab.faults.order(faults.ClockOff(seconds=120))
    first = await ground.run(await ground.command(JobKind.BACKUP))
    ground.lab.faults.order(faults.ApiError(method="POST", path="/nodes/*/vzdump", status=596))

    second = await ground.run(await ground.command(JobKind.BACKUP, "j2"))

    backups = [facts_of(each, "backup.task")["backup"] for each in (first, second)]
    assert second.state is JobState.SUCCEEDED, second.error
    assert await count(ground, "vzdump") == 2
    assert len(set(backups)) == 2
    assert all(":backup/vzdump-lxc-" in each for each in backups)


async def test_somebody_elses_creation_is_not_cleared_away(ground: Ground) -> None:
    """A container of ours had the VMID; what is being made there now is not what ours has left."""
    await ground.make()
    await lab_client.done(ground.cluster.api, await ground.cluster.api.delete(NODE, VMID))
    ground.lab.faults.order(faults.TaskHangs(task="vzcreate", seconds=3))
    async with root_client(ground.lab) as root:
        theirs = {"vmid": VMID, "ostemplate": await template_of(root, ground.lab), "features": "nesting=1"}
        upid = (await root.post(f"/nodes/{NODE}/lxc", data=theirs)).json()["data"]

        record = await ground.run(await ground.command(JobKind.DELETE))

        assert record.error is not None
        assert record.error.code == "container.not-ours"
        assert await ended(root, upid) == "OK"
    assert await ground.is_there()


@pytest.mark.parametrize(
    ("path", "step"), [("/nodes/*/lxc", "create.task"), ("/nodes/*/lxc/*/status/start", "start.task")]
)
async def test_a_step_that_looks_first_is_written_before_it_changes_anything(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, path: str, step: str
) -> None:
    """Its begin waits for no clock: whoever takes the run up after a crash knows of the call."""
    monkeypatch.setattr(journal, "DEFER_SECONDS", 60.0)
    ground.lab.faults.order(faults.SlowAnswer(method="POST", path=path, seconds=2.0))
    command = await ground.command(JobKind.CREATE)

    going = ground.begin(command)
    record = await ground.until_record("j1", lambda record: "posted_at" in facts_of(record, step))
    await asyncio.wait_for(going, 60)

    assert (status_of(record, step), facts_of(record, step).get("upid")) == ("started", None)
    assert (await ground.record()).state is JobState.SUCCEEDED
