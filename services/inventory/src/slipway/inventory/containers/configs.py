"""Compares a container's row with its config on the host and with its status. Pure."""

from datetime import datetime, timedelta

from slipway.contracts.configs import HostConfig
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.guests import GuestStatus
from slipway.contracts.jobs import Target
from slipway.contracts.values import Power

NAME_TAKEN = "hostname-taken"
"""A warning: on its host the container has a new name, which another one of the cluster has here."""
_OLD = timedelta(seconds=10)
"""How old the list of guests may be: PVE 9.2, observed."""
_SPEC = frozenset(HostConfig.model_fields) & frozenset(ContainerSpec.model_fields)


def with_config(spec: ContainerSpec, config: HostConfig, target: Target) -> ContainerSpec:
    """Return a container's spec with the values of its config on the host."""
    values = {name: getattr(config, name) for name in _SPEC}
    # Proxmox names a container without a hostname like this.
    hostname = config.hostname or f"CT{target.vmid}"
    return spec.model_copy(update={**values, "hostname": hostname, "node": target.node})


def was_started(status: GuestStatus, discovered_at: datetime | None) -> bool:
    """Return whether a guest has surely been started since it was last looked into."""
    return discovered_at is None or _is_started_after(status, discovered_at + _OLD)


def may_have_applied(status: GuestStatus, config_at: datetime | None) -> bool:
    """Return whether what waited for a start may hold by now; the uptime may be too low, never too high."""
    return config_at is None or _is_started_after(status, config_at)


def may_be_old(status: GuestStatus, power: Power, config_at: datetime | None) -> bool:
    """Return whether the list may still show a guest's power of before its config was read from it."""
    if config_at is None or status.power is power or power is Power.UNKNOWN:
        return False
    return status.observed_at < config_at + _OLD


def is_newer(read_at: datetime, power: Power, observed_at: datetime | None) -> bool:
    """Return whether what a guest said itself is newer than the power that is stored.

    A list that shows another one may have been old when it was seen; that a guest is gone was checked.
    """
    if observed_at is None:
        return True
    return read_at > (observed_at if power is Power.UNKNOWN else observed_at - _OLD)


def _is_started_after(status: GuestStatus, moment: datetime) -> bool:
    return status.observed_at - timedelta(seconds=status.uptime_seconds) > moment


def differs(status: GuestStatus, hostname: str, spec: ContainerSpec) -> bool:
    """Return whether a guest differs from its container's row: others may have changed its config."""
    memory = (spec.memory or 0) * 1024 * 1024
    return (
        (bool(status.name) and status.name != hostname)
        or (status.tags is not None and set(status.tags) != {tag.lower() for tag in spec.tags})
        or (0 < memory != status.memory_max_bytes > 0)
    )
