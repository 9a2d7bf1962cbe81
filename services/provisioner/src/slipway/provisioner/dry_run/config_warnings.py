"""Warnings of a plan about settings and storages: what goes over SSH, takes effect later, or may not fit."""

from collections.abc import Awaitable, Callable, Mapping

from slipway.contracts.job_kinds import CloneArgs, ConfigureArgs, JobKind
from slipway.contracts.problems import SlipwayError
from slipway.provisioner.host import networks, parameters, readback
from slipway.provisioner.host.room import gib
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import backups
from slipway.provisioner.steps.backups import BackupFacts

_LATER = ("nameserver", "searchdomain", "timezone", "cmode", "console", "tty", "features", "devices")
"""Settings that a running container has only after its next start (PVE 9.2, observed, and its source)."""


async def warnings(work: Work) -> list[str]:
    """Return the warnings of a plan about settings and storages."""
    of_kind = _OF_KIND.get(work.command.kind)
    try:
        return await of_kind(work) if of_kind else []
    except SlipwayError:
        # The steps report what is wrong with the host.
        return []


async def _of_create(work: Work) -> list[str]:
    names = parameters.names_over_ssh(work.spec.features, unprivileged=bool(work.spec.unprivileged))
    texts = [f"{_over_ssh(names)}, before the first start."] if names else []
    guest, scripts = work.spec.guest, work.bundle.manifest.scripts if work.bundle else ()
    if guest is not None and guest.is_outgoing_blocked and not guest.http_proxy and scripts:
        listed = ", ".join(each.name for each in scripts)
        texts.append(
            f"Outgoing traffic is blocked at this site: what the template's scripts ({listed}) download from "
            "elsewhere than its package mirror they will not get."
        )
    return texts


async def _of_configure(work: Work) -> list[str]:
    args, texts = work.command.args_as(ConfigureArgs), []
    config = await work.config()
    if args.features is not None:
        both = {**args.features, **config.flags}
        if names := parameters.names_over_ssh(both, unprivileged=config.unprivileged):
            texts.append(f"{_over_ssh(names)}.")
    changes = networks.changed(args.networks, config, work.target) if args.networks is not None else {}
    if lost := networks.without_gateway(changes, config):
        texts.append(f"{networks.WITHOUT_GATEWAY.format(devices=', '.join(lost))}.")
    if not await work.is_running():
        return texts
    if later := [name for name in _LATER if getattr(args, name) is not None]:
        texts.append(f"It runs: it has {', '.join(later)} after its next restart, not before.")
    if devices := networks.without_client(changes):
        texts.append(f"It runs. {networks.WITHOUT_CLIENT.format(devices=', '.join(devices))}.")
    return texts


async def _of_going_back(work: Work) -> list[str]:
    pending = readback.pending(await readback.read(work))
    return [f"Changes that wait for the next start are lost: {pending}."] if pending else []


async def _of_copying(work: Work) -> list[str]:
    if work.command.args_as(CloneArgs).snapshot is not None:
        return []
    pending = readback.pending(await readback.read(work, work.command.source))
    return [f"Changes that wait for its next start are not in the copy: {pending}."] if pending else []


def _over_ssh(names: tuple[str, ...]) -> str:
    return f"No API token may set {', '.join(names)}: `pct set` does it over SSH"


async def _of_backup(work: Work) -> list[str]:
    """Warn if the backup may not fit on its storage."""
    api, target, name = work.cluster.api, work.target, work.facts(BackupFacts, "backup.look").storage
    status = await work.status()
    storages = await api.storages(target.node, content=backups.KIND)
    storage = next((each for each in storages if each.name == name), None)
    # A stopped container does not report how much it has written.
    used = status.disk or status.maxdisk or 0
    if storage is None or storage.avail is None or used <= storage.avail:
        return []
    what = "It has written" if status.disk else "It is stopped, and its disk has up to"
    free = f"storage {storage.name} has {gib(storage.avail)} free"
    return [f"{what} {gib(used)}; {free}. Compressed it may fit."]


_OF_KIND: Mapping[JobKind, Callable[[Work], Awaitable[list[str]]]] = {
    JobKind.CREATE: _of_create,
    JobKind.CONFIGURE: _of_configure,
    JobKind.ROLLBACK: _of_going_back,
    JobKind.RESTORE: _of_going_back,
    JobKind.CLONE: _of_copying,
    JobKind.BACKUP: _of_backup,
}
