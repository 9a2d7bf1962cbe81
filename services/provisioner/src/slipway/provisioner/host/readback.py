"""The container's config after a change, as its host holds it: told by the step, and stored in the record.

Asking is not having: a running container has many settings only after its next start.
"""

from collections.abc import Mapping
from typing import Any

from slipway.contracts.configs import HostConfig
from slipway.contracts.jobs import Target
from slipway.contracts.values import AFTER_RESTART
from slipway.provisioner.steps.work import Result, Work
from slipway.proxmox.host_config import read_config


async def read(work: Work, of: Target | None = None) -> HostConfig | None:
    """Read the config of the job's container, or of another; None if there is no whole container."""
    target = of or work.target
    return await read_config(work.cluster.api, target.node, target.vmid)


async def told(work: Work, result: Result) -> Result:
    """Add to a step's result what the container has only after its next start."""
    config = await read(work)
    if config is None or not config.pending:
        return result
    waits = f"after the next restart: {_names(config)}"
    return Result(status=result.status, message=f"{result.message}; {waits}" if result.message else waits)


async def changes(work: Work) -> Mapping[str, Any]:
    """Read the config and give what changes in the record: the config itself, and what waits as a warning."""
    config = await read(work)
    known = [each for each in work.journal.record.warnings if not each.startswith(AFTER_RESTART)]
    if config is not None and config.pending:
        known.append(f"{AFTER_RESTART}: {_names(config)}")
    return {"config": config, "warnings": tuple(known)}


def _names(config: HostConfig) -> str:
    return ", ".join(sorted(config.pending))
