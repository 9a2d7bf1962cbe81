"""Changes of a container's config: sizes and settings; read back afterwards."""

from datetime import timedelta

from slipway.contracts.job_kinds import ConfigureArgs, ResizeArgs, RevertArgs
from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.contracts.problems import FieldError, Rejected
from slipway.provisioner.engine.step import DONE, NOTHING_TO_DO, SKIPPED, Result
from slipway.provisioner.host import marks, networks, ownership, parameters, readback, room, tasks
from slipway.provisioner.host.parameters import Params
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import power
from slipway.proxmox.answers import ContainerConfig, options
from slipway.proxmox.host_config import gib

RESIZE_DEADLINE = timedelta(minutes=10)
_PLAIN = (
    "hostname", "onboot", "protection", "nameserver", "searchdomain", "timezone", "cmode", "console", "tty",
)  # fmt: skip
_SIZES = ("cores", "memory", "swap")


class DiskShrinks(Rejected):
    """A disk only grows."""

    code = "disk.shrinks"


async def look_at_sizes(work: Work) -> Result:
    """Make sure that it is ours, and that its disk would not shrink."""
    await power.look(work)
    disk, config = work.command.args_as(ResizeArgs).disk, await work.config()
    refuse_smaller(disk, config)
    volume = config.mounts.get("rootfs", {}).get("volume", "")
    await room.for_growth(work, volume.partition(":")[0], (disk or 0) - (disk_size(config) or 0))
    return DONE


def refuse_smaller(disk: float | None, config: ContainerConfig) -> None:
    """Raise `DiskShrinks` if the root disk is larger now. Pure."""
    now = disk_size(config)
    if disk is not None and now is not None and disk < now:
        message = f"The root disk has {now:g} GiB; Proxmox can only grow it, not to {disk:g}."
        raise DiskShrinks(message, errors=[FieldError(field="args.disk", message=message)])


async def resize(work: Work) -> Result:
    """Set cores, memory and swap; a running container has them at once."""
    sizes = {name: value for name, value in work.command.args.values().items() if name in _SIZES}
    changes = await ownership.rewrite(
        work,
        lambda config: {name: value for name, value in sizes.items() if value != getattr(config, name)},
    )
    if not changes:
        return NOTHING_TO_DO
    message = ", ".join(f"{name} {value}" for name, value in changes.items())
    return await readback.with_pending(work, Result(message=message))


async def grow_disk(work: Work) -> Result:
    """Grow the root disk to its new size."""
    disk, now = work.command.args_as(ResizeArgs).disk, disk_size(await work.config())
    if disk is None or disk == now:
        return NOTHING_TO_DO
    size = f"{parameters.number(disk)}G"
    api, target = work.cluster.api, work.target
    await tasks.run(
        work, "resize", lambda: api.resize(target.node, target.vmid, "rootfs", size), deadline=RESIZE_DEADLINE
    )
    return Result(message=size)


async def configure(work: Work) -> Result:
    """Set what was requested; Slipway's own line in the notes stays, the rest of them is the user's."""
    args, job = work.command.args_as(ConfigureArgs), work.command.job
    lost: list[str] = []

    def decide(config: ContainerConfig) -> Params:
        changes = changed(args, config, work.target, job)
        lost[:] = networks.without_gateway(changes, config)
        return changes

    changes = await ownership.rewrite(work, decide)
    messages = [", ".join(sorted(changes)) if changes else str(NOTHING_TO_DO.message)]
    if lost:
        messages.append(networks.WITHOUT_GATEWAY.format(devices=", ".join(lost)))
    if (devices := networks.without_client(changes)) and await work.is_running():
        messages.append(networks.WITHOUT_CLIENT.format(devices=", ".join(devices)))
    return await readback.with_pending(work, Result(message="; ".join(messages)))


async def set_features(work: Work) -> Result:
    """Set features, over SSH where no API token may."""
    features = work.command.args_as(ConfigureArgs).features
    if features is None:
        return SKIPPED
    target, config = work.target, await work.config()
    flags = parameters.flags(features)
    if dict(config.flags) == flags:
        return await readback.with_pending(work, NOTHING_TO_DO)
    present = await readback.read(work)
    present_flags = parameters.flags(present.features) if present is not None else {}
    if config.unprivileged and {*flags, *present_flags, *config.flags} == {"nesting"} == {*flags}:
        await work.cluster.api.set_config(target.node, target.vmid, {"features": "nesting=1"})
    else:
        written = parameters.property_string(flags)
        await work.pct.set_options(target.vmid, {"features": written} if flags else {"delete": "features"})
    return await readback.with_pending(work, Result(message=", ".join(sorted(flags)) or "none"))


async def revert(work: Work) -> Result:
    """Drop changes that wait for the next start; other settings stay as they are."""
    target, requested = work.target, work.command.args_as(RevertArgs).keys
    config = await readback.read(work)
    pending = sorted(config.pending) if config is not None else []
    keys = [key for key in pending if requested is None or key in requested]
    if not keys:
        return NOTHING_TO_DO
    if over_api := [key for key in keys if not parameters.is_roots(key)]:
        await work.cluster.api.set_config(target.node, target.vmid, {"revert": ",".join(over_api)})
    if over_ssh := [key for key in keys if parameters.is_roots(key)]:
        await work.pct.set_options(target.vmid, {"revert": ",".join(over_ssh)})
    return await readback.with_pending(work, Result(message=f"dropped: {', '.join(keys)}"))


def changed(args: ConfigureArgs, config: ContainerConfig, target: Target, job: Id) -> Params:
    """Return the parameters that make a container as requested. Pure."""
    changes = _plain(args, config)
    if args.tags is not None and {tag.lower() for tag in args.tags} != set(config.tags):
        changes["tags"] = ";".join(args.tags)
    if args.startup is not None:
        changes["startup"] = args.startup
    if args.description is not None:
        changes["description"] = marks.with_mark(args.description, config.description)
    if args.networks is not None:
        gone = changes.get("delete")
        changes |= networks.changed(args.networks, config, target)
        if gone and gone != changes["delete"]:
            changes["delete"] = f"{gone},{changes['delete']}"
        changes |= _remarked(config, changes, target, job)
    return changes


def _plain(args: ConfigureArgs, config: ContainerConfig) -> Params:
    """Return the settings that are sent as they are given; an empty list is deleted, if there is one."""
    changes: Params = {}
    gone = []
    for name in _PLAIN:
        value, present = getattr(args, name), getattr(config, name)
        if name in parameters.LISTS and value is not None:
            value = parameters.listed(value)
        if value == "" and present:
            gone.append(name)
        elif value not in (None, "", present):
            changes[name] = value
    return changes | ({"delete": ",".join(gone)} if gone else {})


def _remarked(config: ContainerConfig, changes: Params, target: Target, job: Id) -> Params:
    """Return the notes with our mark made anew, if no device that is left has the mark's MAC."""
    gone = str(changes.get("delete", "")).split(",")
    devices = {name: device for name, device in config.networks.items() if name not in gone}
    devices |= {name: options(text) for name, text in changes.items() if name.startswith("net")}
    notes = str(changes.get("description", config.description))
    after = config.model_copy(update={"networks": devices, "description": notes})
    return {} if marks.is_marked(after, target) else {"description": marks.stamped(after, target, job)}


def disk_size(config: ContainerConfig) -> float | None:
    """Return the root disk's size in GiB; None if the config does not say."""
    return gib(config.mounts.get("rootfs", {}).get("size", ""))
