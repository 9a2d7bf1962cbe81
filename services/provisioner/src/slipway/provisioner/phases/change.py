"""Changes of a container's config: sizes, and what the user may set; read back afterwards."""

from datetime import timedelta

from slipway.contracts.problems import FieldError, Rejected
from slipway.provisioner.phases import ownership, power, tasks
from slipway.provisioner.phases.work import DONE, NOTHING_TO_DO, Result, Work
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
    config, args = await _config(work), work.command.args
    changes: dict[str, str | int | bool] = {}
    if args.hostname is not None and args.hostname != config.hostname:
        changes["hostname"] = args.hostname
    if args.tags is not None and {tag.lower() for tag in args.tags} != set(config.tags):
        changes["tags"] = ";".join(args.tags)
    if args.onboot is not None and args.onboot != config.onboot:
        changes["onboot"] = args.onboot
    if args.startup is not None:
        changes["startup"] = args.startup
    if args.description is not None:
        changes["description"] = ownership.with_marker(args.description, config.description)
    if not changes:
        return NOTHING_TO_DO
    await work.cluster.api.set_config(work.target.node, work.target.vmid, changes, digest=config.digest)
    return Result(message=", ".join(sorted(changes)))


def disk_size(config: ContainerConfig) -> float | None:
    """Give the root disk's size in GiB; None if the config does not say."""
    size = options(config.rootfs or "").get("size", "")
    return float(size[:-1]) * _UNITS[size[-1]] if size[-1:] in _UNITS else None


async def _config(work: Work) -> ContainerConfig:
    return await work.cluster.api.config(work.target.node, work.target.vmid)
