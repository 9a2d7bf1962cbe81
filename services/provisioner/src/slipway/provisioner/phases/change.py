"""Changes of a container's config: sizes, and what the user may set; read back afterwards."""

from collections.abc import Sequence
from datetime import timedelta

from slipway.contracts.containers import NetworkSpec
from slipway.contracts.jobs import JobArgs, Target
from slipway.contracts.message import Id
from slipway.contracts.problems import FieldError, Rejected
from slipway.provisioner.phases import marks, ownership, parameters, power, tasks
from slipway.provisioner.phases.parameters import Params
from slipway.provisioner.phases.work import DONE, NOTHING_TO_DO, SKIPPED, Result, Work
from slipway.proxmox.answers import ContainerConfig, options

RESIZE_DEADLINE = timedelta(minutes=10)
_SIZES = ("cores", "memory", "swap")


class DiskShrinks(Rejected):
    """A disk only grows."""

    code = "disk.shrinks"


async def look_at_sizes(work: Work) -> Result:
    """Make sure that it is ours, and that its disk would not shrink."""
    await power.look(work)
    refuse_smaller(work.command.args.disk, await _config(work))
    return DONE


def refuse_smaller(wanted: float | None, config: ContainerConfig) -> None:
    """Raise `DiskShrinks` if the root disk is larger than wanted. Pure."""
    now = disk_size(config)
    if wanted is not None and now is not None and wanted < now:
        message = f"The root disk has {now:g} GiB; Proxmox can only grow it, not to {wanted:g}."
        raise DiskShrinks(message, errors=[FieldError(field="args.disk", message=message)])


async def resize(work: Work) -> Result:
    """Set cores, memory and swap; a running container has them at once."""
    wanted = {name: getattr(work.command.args, name) for name in _SIZES}
    changes = await ownership.rewrite(
        work,
        lambda config: {
            name: value
            for name, value in wanted.items()
            if value is not None and value != getattr(config, name)
        },
    )
    if not changes:
        return NOTHING_TO_DO
    return Result(message=", ".join(f"{name} {value}" for name, value in changes.items()))


async def grow_disk(work: Work) -> Result:
    """Grow the root disk to its new size."""
    wanted, now = work.command.args.disk, disk_size(await _config(work))
    if wanted is None or wanted == now:
        return NOTHING_TO_DO
    size = f"{wanted:g}G"
    api, target = work.cluster.api, work.target
    await tasks.run(
        work, "resize", lambda: api.resize(target.node, target.vmid, "rootfs", size), deadline=RESIZE_DEADLINE
    )
    return Result(message=size)


async def configure(work: Work) -> Result:
    """Set what was asked for; Slipway's own line in the notes stays, the rest of them is the user's."""
    command = work.command
    changes = await ownership.rewrite(
        work, lambda config: changed(command.args, config, work.target, command.job)
    )
    return Result(message=", ".join(sorted(changes))) if changes else NOTHING_TO_DO


async def set_features(work: Work) -> Result:
    """Set features, over SSH where no API token may."""
    wanted = work.command.args.features
    if wanted is None:
        return SKIPPED
    spec = work.spec.model_copy(update={"features": wanted})
    restricted = parameters.features_over_ssh(spec)
    flags = {name: str(int(value)) if value is True else value for name, value in wanted.items() if value}
    if dict((await _config(work)).flags) == flags:
        return NOTHING_TO_DO
    if restricted:
        await work.pct.set_features(work.target.vmid, restricted)
    else:
        change = {"features": "nesting=1"} if flags else {"delete": "features"}
        await work.cluster.api.set_config(work.target.node, work.target.vmid, change)
    return Result(message=", ".join(sorted(flags)) or "none")


def changed(args: JobArgs, config: ContainerConfig, target: Target, job: Id) -> Params:
    """Give what has to be set for a container to be as it was asked for. Pure."""
    changes: Params = {}
    for name in ("hostname", "onboot", "protection", "nameserver", "searchdomain"):
        wanted = getattr(args, name)
        if wanted is not None and wanted != getattr(config, name):
            changes[name] = wanted
    if args.tags is not None and {tag.lower() for tag in args.tags} != set(config.tags):
        changes["tags"] = ";".join(args.tags)
    if args.startup is not None:
        changes["startup"] = args.startup
    if args.description is not None:
        changes["description"] = marks.with_mark(args.description, config.description)
    if args.networks is not None:
        changes |= _networks(args.networks, config, target)
        changes |= _remarked(config, changes, target, job)
    return changes


def _remarked(config: ContainerConfig, changes: Params, target: Target, job: Id) -> Params:
    """Give the notes with our mark made anew, if the devices that are left are not those it names."""
    gone = str(changes.get("delete", "")).split(",")
    devices = {name: device for name, device in config.networks.items() if name not in gone}
    devices |= {name: options(text) for name, text in changes.items() if name.startswith("net")}
    notes = str(changes.get("description", config.description))
    then = config.model_copy(update={"networks": devices, "description": notes})
    return {} if marks.is_marked(then, target) else {"description": marks.stamped(then, target, job)}


def _networks(wanted: Sequence[NetworkSpec], config: ContainerConfig, target: Target) -> Params:
    """Give the devices that change; what is left out of one stays as it is, but for addresses."""
    changes: Params = {}
    for index, network in enumerate(wanted):
        there = config.networks.get(f"net{index}", {})
        known = {
            "name": network.name or there.get("name", f"eth{index}"),
            "bridge": network.bridge or there.get("bridge"),
            "hwaddr": network.hwaddr or there.get("hwaddr"),
        }
        written = parameters.network(network.model_copy(update=known), target, index)
        if options(written) != dict(there):
            changes[f"net{index}"] = written
    gone = sorted(set(config.networks) - {f"net{index}" for index in range(len(wanted))})
    return changes | ({"delete": ",".join(gone)} if gone else {})


def disk_size(config: ContainerConfig) -> float | None:
    """Give the root disk's size in GiB; None if the config does not say."""
    return parameters.gib(config.mounts.get("rootfs", {}).get("size", ""))


async def _config(work: Work) -> ContainerConfig:
    return await work.cluster.api.config(work.target.node, work.target.vmid)
