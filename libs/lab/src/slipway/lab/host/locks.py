"""The lock in a container's config, held by a task for as long as it changes disks.

Unlike the flock nobody waits for it: a second task is refused. A killed worker leaves it (PVE 9.2,
recorded); only `pct unlock` takes it away then.
"""

import contextlib
from collections.abc import AsyncIterator

from slipway.lab.host.configs import Config, check_lock
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Work


async def take(machine: Machine, vmid: int, lock: str) -> Config:
    """Lock a container and give its config as it was."""
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        config = machine.configs.get(vmid)
        check_lock(config)
        machine.configs.put(vmid, config | {"lock": lock})
    return config


async def release(machine: Machine, vmid: int, lock: str) -> None:
    """Unlock a container, if it is still there and locked so."""
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        if vmid in machine.configs and (config := machine.configs.get(vmid)).get("lock") == lock:
            del config["lock"]
            machine.configs.put(vmid, config)


@contextlib.asynccontextmanager
async def holding(machine: Machine, vmid: int, lock: str, work: Work) -> AsyncIterator[Config]:
    """Lock a container for a part of a task; a killed worker leaves it locked."""
    config = await take(machine, vmid, lock)
    try:
        yield config
    finally:
        if not work.is_killed:
            await release(machine, vmid, lock)
