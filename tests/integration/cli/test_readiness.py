"""What ends the wait for a stack."""

import asyncio
from pathlib import Path

import pytest

from slipway.client.client import Client
from slipway.standalone.environment import plain_environment
from slipway.standalone.forks import Command, Forks, ProcessFailed
from slipway.standalone.lab import RunningLab
from slipway.standalone.logview import LogView
from slipway.standalone.readiness import await_services, is_usable
from slipway.standalone.supervisor import Supervised, unless_refused

NOWHERE = "http://127.0.0.1:1"


async def test_wrong_setting(tmp_path: Path) -> None:
    """A service that does not accept its settings is not waited for; its own message is the error."""
    view = LogView(tmp_path, is_quiet=True)
    code = "import sys; print('SLIPWAY_POOL_SIZE: not a number'); sys.exit(2)"
    command = Command(name="it", arguments=("-c", code), environment=plain_environment())
    forks = Forks()
    process = Supervised(command, forks, view, on_change=lambda: None)
    process.start()

    with pytest.raises(ProcessFailed, match="SLIPWAY_POOL_SIZE: not a number"):
        await asyncio.wait_for(unless_refused(await_services([NOWHERE]), lambda: [process], view), 60)

    await process.stop(seconds=1)
    forks.close()


async def test_gateway_restarts() -> None:
    """A gateway that is away for a moment is no answer yet to whether the lab can be used."""
    async with Client(NOWHERE, "token") as client:
        assert not await is_usable(client, RunningLab({"nodes": ["lab"]}))
