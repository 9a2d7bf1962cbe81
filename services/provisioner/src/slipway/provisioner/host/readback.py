"""The container's config after a change, as its host has it: part of a step's message, stored in the record.

A running container has many settings only after its next start.
"""

from collections.abc import Mapping
from typing import Any

from slipway.contracts.configs import HostConfig
from slipway.contracts.jobs import Target
from slipway.contracts.values import AFTER_RESTART
from slipway.provisioner.engine.step import Result
from slipway.provisioner.host.work import Work
from slipway.proxmox.host_config import read_config


async def read(work: Work, of: Target | None = None) -> HostConfig | None:
    """Read the config of the job's container, or of another; None if there is no whole container."""
    target = of or work.target
    return await read_config(work.cluster.api, target.node, target.vmid)


async def with_pending(work: Work, result: Result) -> Result:
    """Return a step's result with the settings that the container has only after its next start."""
    names = pending(await read(work))
    if not names:
        return result
    note = f"after the next restart: {names}"
    return Result(status=result.status, message=f"{result.message}; {note}" if result.message else note)


async def changes(work: Work) -> Mapping[str, Any]:
    """Read the config; return the changes of the record: the config, and pending settings as a warning."""
    config = await read(work)
    warnings = [each for each in work.journal.record.warnings if not each.startswith(AFTER_RESTART)]
    if names := pending(config):
        warnings.append(f"{AFTER_RESTART}: {names}")
    return {"config": config, "warnings": tuple(warnings)}


def pending(config: HostConfig | None) -> str:
    """Return the names of the settings that a container has only after its next start."""
    return ", ".join(sorted(config.pending)) if config is not None else ""
