"""What a plan says of settings: which go over SSH, and which a running container has later."""

from slipway.contracts.job_kinds import CloneArgs, ConfigureArgs, JobKind
from slipway.contracts.problems import SlipwayError
from slipway.provisioner.host import networks, parameters, readback
from slipway.provisioner.steps import power
from slipway.provisioner.steps.work import Work

_LATER = ("nameserver", "searchdomain", "timezone", "cmode", "console", "tty", "features", "devices")
"""What a running container has after its next start only (PVE 9.2, observed, and its source)."""


async def of(work: Work) -> list[str]:
    """Give the warnings of a plan about what is set."""
    kind = work.command.kind
    try:
        if kind is JobKind.CREATE:
            names = parameters.names_over_ssh(work.spec.features, unprivileged=bool(work.spec.unprivileged))
            return [f"{_over_ssh(names)}, before the first start."] if names else []
        if kind is JobKind.CONFIGURE:
            return await _of_configure(work)
        if kind in {JobKind.ROLLBACK, JobKind.RESTORE}:
            return await _of_going_back(work)
        if kind is JobKind.CLONE:
            return await _of_copying(work)
    except SlipwayError:
        # The steps say what is wrong with the host.
        return []
    return []


async def _of_configure(work: Work) -> list[str]:
    args, told = work.command.args_as(ConfigureArgs), []
    config = await work.cluster.api.config(work.target.node, work.target.vmid)
    if args.features is not None:
        both = {**args.features, **config.flags}
        if names := parameters.names_over_ssh(both, unprivileged=config.unprivileged):
            told.append(f"{_over_ssh(names)}.")
    if not await power.is_running(work):
        return told
    if later := [name for name in _LATER if getattr(args, name) is not None]:
        told.append(f"It runs: it has {', '.join(later)} after its next restart, not before.")
    changes = networks.changed(args.networks, config, work.target) if args.networks is not None else {}
    if devices := networks.without_client(changes):
        told.append(f"It runs. {networks.WITHOUT_CLIENT.format(devices=', '.join(devices))}.")
    return told


async def _of_going_back(work: Work) -> list[str]:
    config = await readback.read(work)
    if config is None or not config.pending:
        return []
    return [f"Changes that wait for the next start are lost: {', '.join(sorted(config.pending))}."]


async def _of_copying(work: Work) -> list[str]:
    source, snapshot = work.command.source, work.command.args_as(CloneArgs).snapshot
    if source is None or snapshot is not None:
        return []
    config = await readback.read(work, source)
    if config is None or not config.pending:
        return []
    return [f"Changes that wait for its next start are not in the copy: {', '.join(sorted(config.pending))}."]


def _over_ssh(names: tuple[str, ...]) -> str:
    return f"No API token may set {', '.join(names)}: `pct set` does it over SSH"
