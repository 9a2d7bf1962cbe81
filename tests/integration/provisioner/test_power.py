"""A shutdown is over when its grace is."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.contracts.job_kinds import JobKind, ShutdownArgs
from slipway.contracts.values import JobState
from slipway.lab import faults
from slipway.lab.node import Lab
from support.lab import FAST, running_lab
from support.provisioner_side import Ground, status_of

REST_SECONDS = 60.0


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A node whose shutdowns in vain go on for long after their time, as the real one's."""
    async with running_lab(tmp_path / "lab", timings=replace(FAST, shutdown_rest=REST_SECONDS)) as lab:
        yield lab


async def test_what_does_not_listen_is_stopped_after_the_grace(ground: Ground) -> None:
    """Proxmox's own task, which would go on for twice as long, is overruled."""
    await ground.make(runs=True)
    ground.lab.faults.order(faults.NeverStops())

    began = time.monotonic()
    record = await ground.run(await ground.command(JobKind.SHUTDOWN, args=ShutdownArgs(grace_seconds=2)))
    took = time.monotonic() - began

    assert record.state is JobState.SUCCEEDED, record.error
    assert [status_of(record, f"shutdown.{step}") for step in ("ask", "stop")] == ["finished"] * 2
    assert not await ground.is_running()
    assert took < REST_SECONDS / 2
