"""Waits of the pretend node where a real one takes long; defaults are short where tests would wait."""

from dataclasses import dataclass

MOST_NODES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Waits of a Proxmox VE node, in seconds. What PVE 9.2 was observed to take stands beside each."""

    auth_delay: float = 3.0
    """Before any 401 (3.0): never retry a login in a loop."""
    resources_period: float = 1.0
    """How old `/cluster/resources` may get; pvestatd's period (10)."""
    config_lock_wait: float = 10.0
    """For a container's flock (10)."""
    create_lock_wait: float = 5.0
    """The same while creating (5)."""
    create_check: float = 0.03
    """The synchronous part of a creation; two callers with one VMID race within it (0.04 to 0.17)."""
    lookup_wait: float = 0.2
    """Before an unknown node's name is given up (10, the resolver's)."""
    proxy_timeout: float = 30.0
    """Until pveproxy gives up what takes a question and never answers it (30)."""
    shutdown_rest: float = 1.0
    """What a shutdown that times out takes beyond its timeout (its timeout again and 5)."""
    ha_rest: float = 0.5
    """Between what the HA manager is asked for and when it acts (up to 10)."""
    pct_startup: float = 0.0
    """What starting the `pct` program costs (0.5)."""
    stop_task: float = 0.2
    """Between asking a task to stop and its end (1.0)."""
