"""What becomes of a container after a failure is a matter of steps: tried again, and gone on with."""

import asyncio

import pytest

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.values import JobState, OnFailure
from slipway.lab import faults
from support.provisioner_side import Ground, facts_of, status_of

FAILS = "echo 'not this time' >&2; exit 3"
NEW = 200


async def test_a_hiccup_does_not_undo_a_wish(ground: Ground) -> None:
    """The node is away for a moment: the container is destroyed all the same."""
    path = "/nodes/*/lxc/*"
    ground.lab.faults.order(faults.ApiError(method="DELETE", path=path, status=595, times=2))
    bundle = await ground.bundle(a=FAILS)

    record = await ground.run(
        await ground.command(JobKind.CREATE, bundle=bundle, on_failure=OnFailure.DESTROY)
    )

    assert (record.state, record.exists_on_host) == (JobState.FAILED, False)
    assert status_of(record, "on-failure.stop") == status_of(record, "on-failure.destroy") == "finished"
    assert not await ground.is_there()


async def test_the_failure_is_shown(ground: Ground) -> None:
    """The step, its command, its exit code, its last lines; what came after it does not cover that."""
    bundle = await ground.bundle(a=FAILS)

    record = await ground.run(await ground.command(JobKind.CREATE, bundle=bundle, on_failure=OnFailure.STOP))

    assert record.error is not None
    assert record.error.details == {
        "step": "sync.script.0",
        "command": "a.sh",
        "script": "a.sh",
        "exit_code": "3",
        "last_lines": "not this time",
    }
    assert record.phase == "sync"
    assert not await ground.is_running()


async def test_a_new_owner_goes_on_with_the_policy(ground: Ground) -> None:
    """The task that destroys is waited for, not begun a second time."""
    ground.lab.faults.order(faults.TaskHangs(task="vzdestroy", seconds=3))
    bundle = await ground.bundle(a=FAILS)
    command = await ground.command(JobKind.CREATE, bundle=bundle, on_failure=OnFailure.DESTROY)
    going = ground.begin(command)
    await ground.until_record("j1", lambda record: bool(facts_of(record, "on-failure.destroy").get("upid")))
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)

    record = await ground.run(command)

    begun = await ground.cluster.api.tasks(ground.lab.name, typefilter="vzdestroy")
    assert (record.state, record.error is not None and record.error.code) == (
        JobState.FAILED,
        "script.failed",
    )
    assert (record.exists_on_host, len(begun)) == (False, 1)


async def test_each_act_is_tried_on_its_own(ground: Ground) -> None:
    """A snapshot that can't be removed from the source does not keep the copy."""
    await ground.make(rootfs="local-lvm:1", runs=True)
    fails = faults.TaskFails(task="vzdelsnapshot", message="lvremove failed", times=None)
    ground.lab.faults.order(fails)
    source, target = ground.target(), ground.target(NEW, "c2")
    command = await ground.command(JobKind.CLONE, source=source, target=target, on_failure=OnFailure.DESTROY)

    record = await ground.run(command)

    assert status_of(record, "on-failure.snapshot-delete") == "failed"
    assert status_of(record, "on-failure.destroy") == "finished"
    assert (record.exists_on_host, await ground.is_there(NEW)) == (False, False)


@pytest.mark.parametrize("policy", [OnFailure.KEEP, OnFailure.DESTROY])
async def test_what_others_made_is_not_touched(ground: Ground, policy: OnFailure) -> None:
    """A retry fails: it has not made the container, so it does not destroy it."""
    bundle = await ground.bundle(a=FAILS)
    command = await ground.command(JobKind.CREATE, bundle=bundle)
    await ground.run(command)

    record = await ground.retry(command.model_copy(update={"on_failure": policy}))

    assert (record.state, record.exists_on_host) == (JobState.FAILED, True)
    assert await ground.is_there()
