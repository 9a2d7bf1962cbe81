"""Changes of a container's config: sizes, and what the user may set; read back afterwards."""

from collections.abc import Sequence
from datetime import timedelta

from slipway.contracts.containers import NetworkSpec
from slipway.contracts.jobs import JobArgs, Target
from slipway.contracts.problems import FieldError, Rejected
from slipway.provisioner.phases import ownership, parameters, power, tasks
from slipway.provisioner.phases.work import DONE, NOTHING_TO_DO, SKIPPED, Result, Work
from slipway.proxmox.answers import ContainerConfig, options

RESIZE_DEADLINE = timedelta(minutes=10)
_SIZES = ("cores", "memory", "swap")
_UNITS = {"M": 1 / 1024, "G": 1.0, "T": 1024.0}


class DiskShrinks(Rejected):
    """A disk only grows."""

    code = "disk.shrinks"


async def look_at_sizes(work: Work) -> Result:
    """Make sure that it is ours, and that its disk would not shrink."""
    await power.look(work)
    wanted = work.command.args.disk
    now = disk_size(await _config(work))
    if wanted is not None and now is not None and wanted < now:
        message = f"The root disk has {now:g} GiB; Proxmox can only grow it, not to {wanted:g}."
        raise DiskShrinks(message, errors=[FieldError(field="disk", message=message)])
    return DONE


async def resize(work: Work) -> Result:
    """Set cores, memory and swap; a running container has them at once."""
    config, args = await _config(work), work.command.args
    wanted = {name: getattr(args, name) for name in _SIZES}
    changes = {
        name: value for name, value in wanted.items() if value is not None and value != getattr(config, name)
    }
    if not changes:
        return NOTHING_TO_DO
    await work.cluster.api.set_config(work.target.node, work.target.vmid, changes, digest=config.digest)
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
    config = await _config(work)
    changes = changed(work.command.args, config, work.target)
    if not changes:
        return NOTHING_TO_DO
    await work.cluster.api.set_config(work.target.node, work.target.vmid, changes, digest=config.digest)
    return Result(message=", ".join(sorted(changes)))


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


def changed(args: JobArgs, config: ContainerConfig, target: Target) -> dict[str, str | int | bool]:
    """Give what has to be set for a container to be as it was asked for. Pure."""
    changes: dict[str, str | int | bool] = {}
    for name in ("hostname", "onboot", "protection", "nameserver", "searchdomain"):
        wanted = getattr(args, name)
        if wanted is not None and wanted != getattr(config, name):
            changes[name] = wanted
    if args.tags is not None and {tag.lower() for tag in args.tags} != set(config.tags):
        changes["tags"] = ";".join(args.tags)
    if args.startup is not None:
        changes["startup"] = args.startup
    if args.description is not None:
        changes["description"] = ownership.with_marker(args.description, config.description)
    if args.networks is not None:
        changes |= _networks(args.networks, config, target)
    return changes


def _networks(
    wanted: Sequence[NetworkSpec], config: ContainerConfig, target: Target
) -> dict[str, str | int | bool]:
    """Give the devices that change; what is left out of one stays as it is, but for addresses."""
    changes: dict[str, str | int | bool] = {}
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
    size = options(config.rootfs or "").get("size", "")
    return float(size[:-1]) * _UNITS[size[-1]] if size[-1:] in _UNITS else None


async def _config(work: Work) -> ContainerConfig:
    return await work.cluster.api.config(work.target.node, work.target.vmid)
