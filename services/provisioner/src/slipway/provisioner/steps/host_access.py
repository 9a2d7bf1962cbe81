"""Settings that reach into the host: bind mounts, devices, the hookscript; `pct set` over SSH sets them.

Inventory has refused what the cluster's limits do not allow; it is checked again here, at the moment of use
and by the limits that inventory stores then. A bind mount's host path is followed through all its links
first, must end below an allowed path, and is written as the place where it ends: a link that is changed later
changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from posixpath import normpath

from slipway.contracts.container_specs import MountSpec
from slipway.contracts.job_kinds import ConfigureArgs, JobKind
from slipway.contracts.problems import Conflict, Failed, FieldError, Forbidden
from slipway.provisioner.engine.step import NOTHING_TO_DO, SKIPPED, Result
from slipway.provisioner.host import readback
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import power
from slipway.proxmox.answers import ContainerConfig, options
from slipway.runtime.process.host_paths import is_below

_FEATURES = ("mknod", "mount", "force_rw_sys")
"""Those that can reach the host; nesting, keyctl and fuse are everyone's."""
_ENDS_ITEM = frozenset(",\n\r\0")
"""Characters that would end a host path within Proxmox's list of options."""


class RestrictedKey(Forbidden):
    """It reaches into the host, and the cluster's limits do not allow that."""

    code = "restricted-key.forbidden"


class BindSourceMissing(Conflict):
    """The host has no such folder."""

    code = "bind-mount.source-missing"


class NotStored(Failed):
    """Proxmox took the change, and its config does not show it."""

    code = "restricted-key.not-stored"


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """Requested settings; None leaves a setting as it is."""

    mounts: tuple[MountSpec, ...] | None
    devices: tuple[str, ...] | None
    hookscript: str | None


async def look(work: Work) -> Result:
    """Make sure that it is ours, and that what it shall use of the host exists and is allowed."""
    result = await power.look(work)
    await resolve_mounts(work)
    return result


async def apply(work: Work) -> Result:
    """Set what differs, and read it back."""
    settings = _requested(work)
    if settings == HostSettings(mounts=None, devices=None, hookscript=None):
        return SKIPPED
    paths = await resolve_mounts(work)
    changes, gone = changed(settings, paths, await work.config())
    if not changes and not gone:
        return await readback.with_pending(work, NOTHING_TO_DO)
    deletions = {"delete": ",".join(gone)} if gone else {}
    await work.journal.flush()
    await work.pct.set_options(work.target.vmid, {**changes, **deletions})
    missing, present = changed(settings, paths, await work.config())
    if missing or present:
        keys = ", ".join(sorted((*missing, *present)))
        raise NotStored(
            f"Proxmox took {keys} for container {work.target.vmid}, but its config does not show it."
        )
    return await readback.with_pending(work, Result(message=", ".join(sorted((*changes, *gone)))))


async def resolve_mounts(work: Work) -> Mapping[str, str]:
    """Return the real host path of each bind mount, by the requested path.

    Raises:
        RestrictedKey: if it is not allowed, or ends elsewhere; names the field.
        BindSourceMissing: if it does not exist.
    """
    settings = _requested(work)
    if not names(work):
        return {}
    limits = await work.ask_limits()
    if not limits.restricted_keys:
        raise _forbidden(work, names(work))
    roots = [await work.pct.real_path(path) for path in limits.mount_paths] if settings.mounts else []
    allowed = tuple(root for root in roots if root)
    prefix = "args." if work.command.kind is JobKind.CONFIGURE else ""
    return {
        mount.storage: await _real_path(work, mount.storage, f"{prefix}mounts.{index}.storage", allowed)
        for index, mount in enumerate(_all_mounts(work))
        if mount.is_bind
    }


async def refuse_given(work: Work, config: ContainerConfig, had: ContainerConfig | None = None) -> None:
    """Refuse a config that a container would get, if the cluster does not allow what it has.

    Args:
        work: of the job.
        config: the source's of a copy, or a snapshot's.
        had: what the container has already, and keeps.

    Raises:
        RestrictedKey: names what is not allowed.
    """
    given = _present(config) - (_present(had) if had else set())
    if given and not (await work.ask_limits()).restricted_keys:
        raise _forbidden(work, sorted(given))


def names(work: Work) -> tuple[str, ...]:
    """Return the names of the settings of a job that reach into the host."""
    args = work.command.args
    features = (args.features if isinstance(args, ConfigureArgs) else work.spec.features) or {}
    values = vars(_requested(work)) | {f"features.{name}": features.get(name) for name in _FEATURES}
    return tuple(name for name, value in values.items() if value)


def changed(
    settings: HostSettings, paths: Mapping[str, str], config: ContainerConfig
) -> tuple[Mapping[str, str], Sequence[str]]:
    """Return the options to set and those to remove for a config to be as requested. Pure."""
    changes: dict[str, str] = {}
    gone: list[str] = []
    if settings.mounts is not None:
        texts = _binds(settings.mounts, paths, config)
        present = {
            key: mount for key, mount in config.mounts.items() if mount.get("volume", "").startswith("/")
        }
        changes |= {key: text for key, text in texts.items() if options(text) != dict(present.get(key, {}))}
        gone += sorted(set(present) - set(texts))
    if settings.devices is not None:
        texts = {f"dev{index}": text for index, text in enumerate(settings.devices)}
        present_devices = {key: _device(parts) for key, parts in config.devices.items()}
        changes |= {key: text for key, text in texts.items() if options(text) != present_devices.get(key)}
        gone += sorted(set(present_devices) - set(texts))
    if settings.hookscript is not None and settings.hookscript != (config.hookscript or ""):
        changes |= {"hookscript": settings.hookscript} if settings.hookscript else {}
        gone += [] if settings.hookscript else ["hookscript"]
    return changes, gone


def _binds(
    mounts: Sequence[MountSpec], paths: Mapping[str, str], config: ContainerConfig
) -> Mapping[str, str]:
    """Return each bind mount its number: the one it has, or the lowest that is free."""
    numbers = {mount.get("mp", ""): key for key, mount in config.mounts.items() if key != "rootfs"}
    targets = [normpath(mount.path) for mount in mounts]
    free = (f"mp{number}" for number in range(256) if f"mp{number}" not in config.mounts)
    return {
        numbers.get(path) or next(free): f"{paths[mount.storage]},mp={path}"
        + (",ro=1" if mount.readonly else "")
        for path, mount in zip(targets, mounts, strict=True)
    }


def _device(parts: Mapping[str, str]) -> Mapping[str, str]:
    return {("volume" if name == "path" else name): value for name, value in parts.items()}


async def _real_path(work: Work, path: str, field: str, allowed: Sequence[str]) -> str:
    node = work.target.node
    real_path = await work.pct.real_path(path)
    if real_path is None:
        message = f"{path} does not exist on node {node}; make the folder there first."
        raise BindSourceMissing(message, errors=[FieldError(field=field, message=message)])
    if normpath(real_path) != real_path or not is_below(real_path, allowed) or _ENDS_ITEM & set(real_path):
        message = (
            f"{path} is {real_path} on node {node}, which is not below a mount path that cluster "
            f"{work.target.cluster_name} allows: {', '.join(allowed) or 'none'}."
        )
        raise RestrictedKey(message, errors=[FieldError(field=field, message=message)])
    return real_path


def _present(config: ContainerConfig) -> set[str]:
    binds = {key for key, mount in config.mounts.items() if mount.get("volume", "").startswith("/")}
    hookscript = {"hookscript"} if config.hookscript else set()
    features = {f"features.{name}" for name in _FEATURES if config.flags.get(name, "0") != "0"}
    return {*config.devices, *binds, *hookscript, *features}


def _forbidden(work: Work, what: Sequence[str]) -> RestrictedKey:
    return RestrictedKey(
        f"{', '.join(what)}: this reaches into the host, which cluster {work.target.cluster_name} "
        "does not allow (any more). An admin allows it: `slipway cluster limits set CLUSTER "
        "--restricted-keys`; then retry the job."
    )


def _requested(work: Work) -> HostSettings:
    if isinstance(args := work.command.args, ConfigureArgs):
        return HostSettings(mounts=args.mounts, devices=args.devices, hookscript=args.hookscript)
    spec = work.spec
    binds = tuple(mount for mount in spec.mounts if mount.is_bind)
    return HostSettings(mounts=binds or None, devices=spec.devices or None, hookscript=spec.hookscript)


def _all_mounts(work: Work) -> Sequence[MountSpec]:
    args = work.command.args
    return (args.mounts or ()) if isinstance(args, ConfigureArgs) else work.spec.mounts
