"""Scripts go on in the guest whatever happens to the way there; none runs beside another."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.values import JobState
from slipway.lab import faults
from slipway.lab.node import Lab
from support.lab_client import NODE, done
from support.nats import MakeBus
from support.provisioner_side import VMID, Ground, provisioner_on, status_of
from support.waiting import processes_of, until


@pytest.fixture
async def impatient(lab: Lab, make_bus: MakeBus, tmp_path: Path) -> AsyncIterator[Ground]:
    """A worker whose retry_budget is shorter than a script's life."""
    async with provisioner_on(lab, make_bus, tmp_path, retry_budget=timedelta(seconds=3)) as ground:
        yield ground


async def test_a_long_script_outlives_its_connection(impatient: Ground, lab: Lab) -> None:
    """A connection that dies late, and is then refused for a while, ends nothing; each line comes once."""
    script = "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo $i; sleep 0.2; done"
    command = await impatient.command(JobKind.CREATE, bundle=await impatient.bundle(a=script))
    going = impatient.begin(command)

    async def has_come() -> bool:
        return "20" in await impatient.lines()

    await until(has_come, within_seconds=60)

    lab.faults.order(faults.SshRefused(times=3))
    lab.faults.order(faults.SshDropped(now=True))
    await going

    record = await impatient.record()
    assert record.state is JobState.SUCCEEDED, record.error
    assert [line for line in await impatient.lines() if line.isdecimal()] == [str(n) for n in range(1, 51)]


async def test_both_outputs_are_one_in_the_order_of_writing(ground: Ground) -> None:
    """A failure names the last words, whichever of the two they were written to."""
    script = "echo 1; echo 2 >&2; echo 3; printf 'why: ' >&2; printf 'it is full'; exit 3"

    record = await ground.run(await ground.command(JobKind.CREATE, bundle=await ground.bundle(a=script)))

    assert (await ground.lines())[-4:] == ["1", "2", "3", "why: it is full"]
    assert record.error is not None
    assert record.error.message == "Script a.sh ended with code 3: 2; 3; why: it is full"


async def test_a_line_is_taken_over_while_it_has_no_end(ground: Ground) -> None:
    """Its states are published; the next owner reads it from its start: nothing is lost or doubled."""
    script = (
        "i=0; while [ $i -lt 40 ]; do i=$((i+1)); printf '\\r%s %%' $i; sleep 0.2; done; echo\n"
        "printf 'Go on? '; until [ -e /root/go ]; do sleep 0.1; done; echo yes"
    )
    command = await ground.command(JobKind.CREATE, bundle=await ground.bundle(a=script))
    for state in (" %", "Go on?"):
        going = ground.begin(command)
        await until(partial(ground.is_logged, state, is_unfinished=True), within_seconds=60)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
    touch = ("touch", "/root/go")
    await ground.cluster.pct(NODE).execute(VMID, touch, timeout=timedelta(seconds=10))

    record = await ground.run(command)

    assert record.state is JobState.SUCCEEDED, record.error
    assert (await ground.lines())[-2:] == ["40 %", "Go on? yes"]


async def test_a_guest_that_reboots_in_the_middle(ground: Ground) -> None:
    """It is waited for; the script begins again."""
    script = (
        "n=$(cat /root/runs 2>/dev/null || echo 0); echo $((n + 1)) >/root/runs\n"
        "echo run $n\n[ $n -gt 0 ] || sleep 98762\n"
    )
    command = await ground.command(JobKind.CREATE, bundle=await ground.bundle(a=script))
    going = ground.begin(command)
    await until(lambda: bool(processes_of("sleep", "98762")), within_seconds=30)

    await done(ground.cluster.api, await ground.cluster.api.stop(NODE, VMID))
    await asyncio.sleep(2)
    await done(ground.cluster.api, await ground.cluster.api.start(NODE, VMID))
    await going

    record = await ground.record()
    assert record.state is JobState.SUCCEEDED, record.error
    assert [line for line in await ground.lines() if line.startswith("run")] == ["run 0", "run 1"]


async def test_a_script_that_was_given_up_ends_before_the_retry(ground: Ground) -> None:
    """Whatever a dead job has left in the guest, nothing runs twice at once."""
    script = "[ -e /root/again ] || { touch /root/again; sleep 98763; }; echo done"
    command = await ground.command(JobKind.CREATE, bundle=await ground.bundle(a=script))
    going = ground.begin(command)
    await until(lambda: bool(processes_of("sleep", "98763")), within_seconds=30)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    assert processes_of("sleep", "98763")

    again = command.model_copy(update={"job": "j2", "retry_of": "j1", "first_step": "sync.script.0"})
    record = await ground.run(again)

    assert (record.state, status_of(record, "sync.script.0")) == (JobState.SUCCEEDED, "finished")
    assert not processes_of("sleep", "98763")
