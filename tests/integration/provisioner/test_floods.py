"""A script that never stops writing fills neither the bus nor its guest, and no report on it is untrue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from slipway.contracts.job_events import JobLog
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.values import JobState
from slipway.lab.node import Lab
from slipway.provisioner.engine.log_bound import LogLimits
from slipway.provisioner.engine.worker import MOST_CLAIMS, Poisoned
from slipway.runtime.bus.stored import read_all
from slipway.runtime.errors import BusFull
from slipway.runtime.process.clock import now
from slipway.runtime.topology.declared import EVENTS
from support.nats import MakeBus
from support.provisioner_side import VMID, Ground, provisioner_on
from support.waiting import processes_of, until

KIB = 1024
FILLER = "slipway.v1.event.job.filler.log"
SMALL = LogLimits(most_bytes=256 * KIB, bytes_per_second=1024 * KIB)


@pytest.fixture
async def strict(lab: Lab, make_bus: MakeBus, tmp_path: Path) -> AsyncIterator[Ground]:
    """A worker that keeps 256 KiB of a job's log."""
    async with provisioner_on(lab, make_bus, tmp_path, log_limits=SMALL) as ground:
        yield ground


async def resize_events(admin: Client, ground: Ground, max_bytes: int) -> None:
    """Give EVENTS another size, and let the worker's bus know."""
    config = (await admin.jetstream().stream_info(EVENTS)).config
    await admin.jetstream().update_stream(config.evolve(max_bytes=max_bytes))
    await ground.bus.measure()


async def fill_events(admin: Client, ground: Ground) -> None:
    """Leave no room in EVENTS at all."""
    await resize_events(admin, ground, 1_500_000)
    for size in (100_000, 10_000, 1000, 100, 1):
        with contextlib.suppress(APIError):
            while True:
                await admin.jetstream().publish(FILLER, b"x" * size)


async def logged(ground: Ground, job: str = "j1") -> int:
    """Return what a job's log takes on the bus."""
    stored = await read_all(ground.bus.connection, EVENTS, subject=JobLog.subject.replace("{id}", job))
    return sum(len(each.payload) for each in stored)


async def test_a_flood_keeps_beginning_and_end(strict: Ground) -> None:
    """The middle is left out, and a line says how much; the file in the guest is bounded as well."""
    folder = "/var/lib/slipway/runs/j1.sync.script.0"
    # `yes` is killed in the middle of a line.
    script = f"echo begun; timeout 3 yes 98765; echo; echo the end; cat {folder}/out {folder}/last | wc -c"
    command = await strict.command(JobKind.CREATE, bundle=await strict.bundle(a=script))

    record = await strict.run(command)

    lines = await strict.lines()
    assert record.state is JobState.SUCCEEDED, record.error
    assert "begun" in lines
    assert "the end" in lines
    assert any("bytes of the output are left out here; its last lines follow]" in line for line in lines)
    assert await logged(strict) < SMALL.most_bytes
    assert int(lines[-1]) < SMALL.most_bytes


async def test_a_flood_that_is_taken_over_has_no_hole_but_the_one_that_is_reported(strict: Ground) -> None:
    """Up to the bound each line is there once, whoever followed it."""
    script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; [ $((i % 300)) -ne 0 ] || sleep 0.3; done"
    command = await strict.command(JobKind.CREATE, bundle=await strict.bundle(a=script))
    for number in (40, 120, 600):
        going = strict.begin(command)

        async def has_come(number: int = number) -> bool:
            return str(number) in await strict.lines()

        await until(has_come, within_seconds=60)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)

    record = await strict.run(command)

    lines = [line for line in await strict.lines() if line.isdecimal() or "left out here" in line]
    gap = next(place for place, line in enumerate(lines) if not line.isdecimal())
    assert record.state is JobState.SUCCEEDED, record.error
    assert lines[:gap] == [str(n) for n in range(1, gap + 1)]
    assert lines[gap + 1 :] == [str(n) for n in range(3001 - (len(lines) - gap - 1), 3001)]
    assert gap > 600


async def test_logs_give_way_before_the_bus_is_full(ground: Ground, admin: Client) -> None:
    """The job ends well, says what is missing of its log, and the container can be stopped and removed."""
    await resize_events(admin, ground, 1_500_000)
    command = await ground.command(
        JobKind.CREATE, bundle=await ground.bundle(a="timeout 3 yes 98765; echo the end")
    )

    made = await ground.run(command)
    stopped = await ground.run(await ground.command(JobKind.STOP, job="j2"))
    deleted = await ground.run(await ground.command(JobKind.DELETE, job="j3"))

    state = (await admin.jetstream().stream_info(EVENTS)).state
    assert [each.state for each in (made, stopped, deleted)] == [JobState.SUCCEEDED] * 3, made.error
    assert state.bytes < 0.85 * 1_500_000
    assert any("the message bus is almost full]" in line for line in await ground.lines())
    assert not processes_of("yes", "98765")


async def test_a_full_bus_is_not_a_dead_worker(ground: Ground, admin: Client) -> None:
    """However often a run is given up since its record can't be written, it goes on once there is room."""
    script = "until [ -e /root/go ]; do sleep 0.1; done; echo done"
    command = await ground.command(JobKind.CREATE, bundle=await ground.bundle(a=script))
    going = ground.begin(command)
    await ground.until_record("j1", lambda record: record.phase == "sync")
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    await fill_events(admin, ground)
    touch = ("touch", "/root/go")
    await ground.cluster.pct(ground.lab.name).execute(VMID, touch, timeout=timedelta(seconds=10))

    for _ in range(MOST_CLAIMS + 1):
        with pytest.raises(BusFull, match="is full"):
            await ground.begin(command)
    await admin.jetstream().purge_stream(EVENTS, subject=FILLER)
    await ground.bus.measure()
    record = await ground.run(command)

    assert record.state is JobState.SUCCEEDED, record.error


async def test_a_worker_that_is_asked_to_stop_has_not_died(ground: Ground) -> None:
    """However often that happens in a long step."""
    script = "until [ -e /root/go ]; do sleep 0.1; done; echo done"
    command = await ground.command(JobKind.CREATE, bundle=await ground.bundle(a=script))
    for claim in range(1, MOST_CLAIMS + 2):
        going = ground.begin(command)
        await ground.until_record("j1", lambda record, claim=claim: record.claim == claim)
        while not going.done():  # Python 3.11's `wait_for` may lose a cancel
            going.cancel()
            await asyncio.wait({going}, timeout=0.5)

    record = await ground.record()

    assert (record.state, record.claims_without_progress) == (JobState.RUNNING, 0)


async def test_a_run_that_kills_its_workers_leaves_nothing_running(ground: Ground) -> None:
    """It is given up, and its script in the guest is ended before."""
    command = await ground.command(JobKind.CREATE, bundle=await ground.bundle(a="sleep 98765"))
    going = ground.begin(command)
    await until(lambda: bool(processes_of("sleep", "98765")), within_seconds=30)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    for _ in range(MOST_CLAIMS - 1):
        await ground.runs.claim(command, at=now())

    with pytest.raises(Poisoned):
        await ground.begin(command)

    record = await ground.record()
    assert (record.state, record.error and record.error.code) == (JobState.FAILED, "run.poisoned")
    assert not processes_of("sleep", "98765")
