"""What reaches into the host: bind mounts, devices, the hookscript. Set with `pct set` over SSH, as root.

Inventory has refused what the operator does not allow; it is looked at again here, at the moment of use and
by the settings of now. A bind mount's host path is followed through all its links first, must end below an
allowed path, and is written as the place where it ends: a link that is changed later changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from posixpath import normpath

from slipway.contracts.containers import MountSpec
from slipway.contracts.job_kinds import ConfigureArgs, JobKind
from slipway.contracts.problems import Conflict, Failed, FieldError, Forbidden
from slipway.provisioner.host import readback
from slipway.provisioner.steps import power
from slipway.provisioner.steps.work import NOTHING_TO_DO, SKIPPED, Result, Work
from slipway.proxmox.answers import ContainerConfig, options
from slipway.runtime.process.host_access import is_below

_FEATURES = ("mknod", "mount", "force_rw_sys")
"""Those that can reach the host; nesting, keyctl and fuse are everyone's."""
_ENDS_ITEM = frozenset(",\n\r\0")
"""What would end a host path within Proxmox's list of options."""


class RestrictedKey(Forbidden):
    """It reaches into the host, and the operator does not allow that."""

    code = "restricted-key.forbidden"


class BindSourceMissing(Conflict):
    """The host has no such folder."""

    code = "bind-mount.source-missing"


class NotStored(Failed):
    """Proxmox took the change, and its config does not show it."""

    code = "restricted-key.not-stored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for; None leaves it as it is."""

    mounts: tuple[MountSpec, ...] | None
    devices: tuple[str, ...] | None
    hookscript: str | None


async def look(work: Work) -> Result:
    """Make sure that it is ours, and that what it shall get of the host is there and allowed."""
    result = await power.look(work)
    await places(work)
    return result


async def apply(work: Work) -> Result:
    """Set what is not so yet, and read it back."""
    wanted = _wanted(work)
    if wanted == Wanted(mounts=None, devices=None, hookscript=None):
        return SKIPPED
    found = await places(work)
    changes, gone = changed(wanted, found, await _config(work))
    if not changes and not gone:
        return await readback.told(work, NOTHING_TO_DO)
    await work.pct.set_options(work.target.vmid, changes, removed=gone)
    left, still = changed(wanted, found, await _config(work))
    if left or still:
        keys = ", ".join(sorted((*left, *still)))
        raise NotStored(
            f"Proxmox took {keys} for container {work.target.vmid}, but its config does not show it."
        )
    return await readback.told(work, Result(message=", ".join(sorted((*changes, *gone)))))


async def places(work: Work) -> Mapping[str, str]:
    """Give where each bind mount's host path ends, links followed.

    Raises:
        RestrictedKey: if it is not allowed, or ends elsewhere; names the field.
        BindSourceMissing: if there is nothing.
    """
    wanted = _wanted(work)
    if not names(work):
        return {}
    if not work.host_access.is_allowed:
        raise RestrictedKey(
            f"{', '.join(names(work))}: this reaches into the host, and SLIPWAY_RESTRICTED_KEYS is not on "
            "for the provisioner."
        )
    roots = [await work.pct.real_path(path) for path in work.host_access.paths] if wanted.mounts else []
    allowed = tuple(root for root in roots if root)
    prefix = "args." if work.command.kind is JobKind.CONFIGURE else ""
    return {
        mount.storage: await _place(work, mount.storage, f"{prefix}mounts.{index}.storage", allowed)
        for index, mount in enumerate(_all_mounts(work))
        if mount.is_bind
    }


def names(work: Work) -> tuple[str, ...]:
    """Name what reaches into the host among what a job is to set."""
    wanted = _wanted(work)
    told: dict[str, object] = {
        "mounts": wanted.mounts,
        "devices": wanted.devices,
        "hookscript": wanted.hookscript,
    }
    args = work.command.args
    features = (args.features if isinstance(args, ConfigureArgs) else work.spec.features) or {}
    told |= {f"features.{name}": features.get(name) for name in _FEATURES}
    return tuple(name for name, value in told.items() if value)


def changed(
    wanted: Wanted, places: Mapping[str, str], config: ContainerConfig
) -> tuple[Mapping[str, str], Sequence[str]]:
    """Give what to set and what to remove for a config to be as wanted. Pure."""
    changes: dict[str, str] = {}
    gone: list[str] = []
    if wanted.mounts is not None:
        texts = _binds(wanted.mounts, places, config)
        there = {
            key: mount for key, mount in config.mounts.items() if mount.get("volume", "").startswith("/")
        }
        changes |= {key: text for key, text in texts.items() if options(text) != dict(there.get(key, {}))}
        gone += sorted(set(there) - set(texts))
    if wanted.devices is not None:
        texts = {f"dev{index}": text for index, text in enumerate(wanted.devices)}
        known = {key: _device(parts) for key, parts in config.devices.items()}
        changes |= {key: text for key, text in texts.items() if options(text) != known.get(key)}
        gone += sorted(set(known) - set(texts))
    if wanted.hookscript is not None and wanted.hookscript != (config.hookscript or ""):
        changes |= {"hookscript": wanted.hookscript} if wanted.hookscript else {}
        gone += [] if wanted.hookscript else ["hookscript"]
    return changes, gone


def _binds(
    mounts: Sequence[MountSpec], places: Mapping[str, str], config: ContainerConfig
) -> Mapping[str, str]:
    """Give each bind mount its number: the one it has, or the lowest that is free."""
    numbers = {mount.get("mp", ""): key for key, mount in config.mounts.items() if key != "rootfs"}
    paths = [normpath(mount.path) for mount in mounts]
    stored = {path: numbers[path] for path in paths if path in numbers}
    free = (f"mp{number}" for number in range(256) if f"mp{number}" not in config.mounts)
    return {
        stored.get(path) or next(free): f"{places[mount.storage]},mp={path}"
        + (",ro=1" if mount.readonly else "")
        for path, mount in zip(paths, mounts, strict=True)
    }


def _device(parts: Mapping[str, str]) -> Mapping[str, str]:
    return {("volume" if name == "path" else name): value for name, value in parts.items()}


async def _place(work: Work, path: str, field: str, allowed: Sequence[str]) -> str:
    node = work.target.node
    place = await work.pct.real_path(path)
    if place is None:
        message = f"{path} does not exist on node {node}; make the folder there first."
        raise BindSourceMissing(message, errors=[FieldError(field=field, message=message)])
    if normpath(place) != place or not is_below(place, allowed) or _ENDS_ITEM & set(place):
        message = (
            f"{path} is {place} on node {node}, which is not below a path of SLIPWAY_BIND_MOUNT_PATHS: "
            f"{', '.join(allowed) or 'none'}."
        )
        raise RestrictedKey(message, errors=[FieldError(field=field, message=message)])
    return place


def _wanted(work: Work) -> Wanted:
    if isinstance(args := work.command.args, ConfigureArgs):
        return Wanted(mounts=args.mounts, devices=args.devices, hookscript=args.hookscript)
    spec = work.spec
    binds = tuple(mount for mount in spec.mounts if mount.is_bind)
    return Wanted(mounts=binds or None, devices=spec.devices or None, hookscript=spec.hookscript)


def _all_mounts(work: Work) -> Sequence[MountSpec]:
    args = work.command.args
    return (args.mounts or ()) if isinstance(args, ConfigureArgs) else work.spec.mounts


async def _config(work: Work) -> ContainerConfig:
    return await work.cluster.api.config(work.target.node, work.target.vmid)
