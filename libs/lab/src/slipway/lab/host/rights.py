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
)


def check_options(
    actor: Actor,
    vmid: int,
    params: Mapping[str, str],
    *,
    old: Mapping[str, str] | None = None,
    removed: Iterable[str] = (),
    is_unprivileged: bool,
) -> None:
    """Refuse what the actor may not set or remove; `old` is the config as it is."""
    if actor.is_root:
        return
    for key in (*params, *removed):
        value, present = params.get(key), (old or {}).get(key, "")
        if key == "features":
            _check_features(actor, vmid, present, value or "", is_unprivileged=is_unprivileged)
        elif key == "hookscript":
            actor.require_root("changing the hookscript")
        elif re.fullmatch(r"dev\d+", key):
            actor.require_root("configuring device passthrough")
        else:
            actor.require(f"/vms/{vmid}", _privilege(key))
            _check_places(actor, key, (present, value or ""))


def _privilege(key: str) -> str:
    return next((right for pattern, right in _KINDS if re.fullmatch(pattern, key)), "VM.Config.Options")


def _check_features(actor: Actor, vmid: int, old: str, new: str, *, is_unprivileged: bool) -> None:
    """Compare the old set with the new one: whoever is not root may change nothing but `nesting`."""
    if not is_unprivileged:
        actor.require_root("changing feature flags for privileged container")
    before, after = options.features({"features": old}), options.features({"features": new})
    differing = {name for name in (*before, *after) if before.get(name) != after.get(name)}
    if differing - {"nesting"}:
        actor.require_root("changing feature flags (except nesting)")
    if differing:
        actor.require(f"/vms/{vmid}", "VM.Allocate")


def _check_places(actor: Actor, key: str, values: Iterable[str]) -> None:
    """Refuse bridges that the actor may not use, now or so far, and sources that are only root's."""
    *_, new = values
    if re.fullmatch(r"net\d+", key):
        for device in (options.networks({key: value})[key] for value in values if value):
            if bridge := device.get("bridge"):
                actor.require(f"{ZONE}/{bridge}", "SDN.Use")
    elif re.fullmatch(r"mp\d+|rootfs", key) and new and (kind := mount_kind(new)) != "volume":
        raise not_permitted(f"mount point type {kind} is only allowed for root@pam")


def mount_kind(value: str) -> str:
    """Return what a mount point is made from: a `volume`, a folder (`bind`) or a `device`."""
    source = value.partition(",")[0].removeprefix("volume=")
    if source.startswith("/dev/"):
        return "device"
    return "bind" if source.startswith("/") else "volume"
