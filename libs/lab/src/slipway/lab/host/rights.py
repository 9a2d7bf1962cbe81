"""Which rights an option of a container needs, as PVE::LXC::check_ct_modify_config_perm has it.

Refusals come in Proxmox' words. Some options only root himself may change: feature flags but `nesting`,
bind mounts, devices, hook scripts (PVE 9.2, recorded with a full-rights root token).
"""

import re
from collections.abc import Iterable, Mapping

from slipway.lab.access.actors import Actor
from slipway.lab.host import options
from slipway.lab.problems import not_permitted

ZONE = "/sdn/zones/localnetwork"
_KINDS = (
    (r"cores|cpuunits|cpulimit", "VM.Config.CPU"),
    (r"rootfs|mp\d+|unused\d+", "VM.Config.Disk"),
    (r"memory|swap", "VM.Config.Memory"),
    (r"net\d+|nameserver|searchdomain|hostname", "VM.Config.Network"),
    (r"features", "VM.Allocate"),
)


def check_options(
    actor: Actor, vmid: int, given: Mapping[str, str], *, removed: Iterable[str] = (), is_unprivileged: bool
) -> None:
    """Refuse what the actor may not set or remove."""
    if actor.is_root:
        return
    for key in (*given, *removed):
        actor.require(f"/vms/{vmid}", _privilege(key))
        _check_for_root_only(actor, key, given.get(key, ""), is_unprivileged=is_unprivileged)
    for device in options.networks(given).values():
        if bridge := device.get("bridge"):
            actor.require(f"{ZONE}/{bridge}", "SDN.Use")


def _privilege(key: str) -> str:
    return next((right for pattern, right in _KINDS if re.fullmatch(pattern, key)), "VM.Config.Options")


def _check_for_root_only(actor: Actor, key: str, value: str, *, is_unprivileged: bool) -> None:
    if key == "features":
        if not is_unprivileged:
            actor.require_root("changing feature flags for privileged container")
        if set(options.features({"features": value})) - {"nesting"}:
            actor.require_root("changing feature flags (except nesting)")
    elif key == "hookscript":
        actor.require_root("changing the hookscript")
    elif re.fullmatch(r"dev\d+", key):
        actor.require_root("passing through devices")
    elif re.fullmatch(r"mp\d+|rootfs", key) and (kind := mount_kind(value)) != "volume":
        raise not_permitted(f"mount point type {kind} is only allowed for root@pam")


def mount_kind(value: str) -> str:
    """Say what a mount point is made from: a `volume`, a folder (`bind`) or a `device`."""
    source = value.partition(",")[0].removeprefix("volume=")
    if source.startswith("/dev/"):
        return "device"
    return "bind" if source.startswith("/") else "volume"
