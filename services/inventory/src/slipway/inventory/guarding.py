"""Refuses the deletion of what is protected, before anything of it begins. The host is asked, not the row."""

from slipway.contracts.containers import Container
from slipway.contracts.jobs import Target
from slipway.contracts.kept import GetGuard
from slipway.contracts.problems import Conflict, Unavailable
from slipway.contracts.values import Lifecycle
from slipway.runtime.bus import Bus


class ContainerProtected(Conflict):
    """Proxmox's `protection` is set."""

    code = "container.protected"


async def refuse_protected(bus: Bus, container: Container) -> None:
    """Raise `ContainerProtected` if Proxmox protects it; if its node is away, if it was to be protected."""
    if container.lifecycle is not Lifecycle.READY:
        return
    target = Target(
        container=container.id,
        cluster=container.cluster_id,
        cluster_name=container.cluster,
        node=container.node,
        vmid=container.vmid,
        hostname=container.hostname,
    )
    try:
        is_protected = (await bus.ask(GetGuard(target=target))).is_protected
    except Unavailable:
        is_protected = bool(container.spec.protection)
    if is_protected:
        raise ContainerProtected(
            f"Container {container.hostname} ({container.vmid}) is protected in Proxmox, so it is not "
            f"deleted. Take the protection off first: POST /api/v1/containers/{container.id}/configure "
            '{"protection": false}.',
            vmid=container.vmid,
        )
