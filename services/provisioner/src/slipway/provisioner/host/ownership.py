"""Whether a container is ours: by the mark in its notes; a creation that died has none yet, but a task.

A container that others moved to another node is followed: a VMID counts as missing only once Proxmox says
that nothing in the cluster has it.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from slipway.contracts.problems import Conflict, Unavailable
from slipway.provisioner.engine.facts import StepFacts
from slipway.provisioner.host import marks, tasks
from slipway.provisioner.host.parameters import Params
from slipway.provisioner.host.work import Work
from slipway.proxmox.answers import ContainerConfig
from slipway.proxmox.errors import ConfigChanged, ContainerMissing, PctFailed
from slipway.proxmox.pct import Pct
from slipway.proxmox.task_answers import Task

_CREATING = ("vzcreate", "vzrestore")
"""Tasks that begin with a bare, locked config."""
_ROUNDS = 3
"""How often a change is decided anew when others change the config at the same time."""


class NotOurs(Conflict):
    """Someone else's container has the VMID."""

    code = "container.not-ours"


class Moving(Unavailable):
    """It is on no listed node: the cluster's list is up to ten seconds old."""

    code = "container.moving"


class ClearingFacts(StepFacts):
    """What a step clears away."""

    clearing: int | None = None
    """The VMID."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing has the VMID."""


@dataclass(frozen=True, slots=True)
class Ours:
    """A whole container of ours."""

    config: ContainerConfig


@dataclass(frozen=True, slots=True)
class Begun:
    """A bare lock of a creation of ours; its task may still run."""

    task: Task


@dataclass(frozen=True, slots=True)
class HalfCleared:
    """A bare config without a lock: we were clearing a killed creation away."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Someone else's."""


Ownership = Missing | Ours | Begun | HalfCleared | Foreign


async def look(work: Work) -> Ownership:
    """Look what has the VMID in Proxmox.

    A container that is being made is ours if the newest task that makes one is: an older task says nothing
    about what is there now.
    """
    target = work.target
    try:
        config = await work.config()
    except ContainerMissing:
        return await _look_elsewhere(work)
    if marks.is_marked(config, target):
        return Ours(config)
    if config.is_bare and config.lock is None and work.facts(ClearingFacts).clearing == target.vmid:
        return HalfCleared()
    if config.is_bare and config.lock == "create":
        task = await tasks.newest(work, *_CREATING)
        return Begun(task) if task is not None else Foreign()
    return Foreign()


async def _look_elsewhere(work: Work) -> Missing | Ours | Foreign:
    """Follow a container that others moved; one that the job makes itself is where the job makes it."""
    api, target = work.cluster.api, work.target
    if work.command.kind.creates_container or await api.is_free(target.vmid):
        return Missing()
    listed = next((each for each in (await api.resources()).guests if each.vmid == target.vmid), None)
    if listed is not None and listed.type != "lxc":
        # A VM was given the VMID: the container is gone.
        return Missing()
    if listed is None or listed.node == target.node:
        raise _moving(work)
    try:
        config = await api.config(listed.node, target.vmid)
    except ContainerMissing as error:
        raise _moving(work) from error
    if not marks.is_marked(config, target):
        return Foreign()
    await work.journal.report(f"It was moved from {target.node} to {listed.node} by others.")
    await work.journal.commit(target=target.model_copy(update={"node": listed.node}))
    return Ours(config)


def _moving(work: Work) -> Moving:
    vmid, node = work.target.vmid, work.target.node
    return Moving(f"VMID {vmid} is not on {node} any more, and the cluster does not say yet where it is.")


def is_remainder(state: Ownership) -> bool:
    """Return whether it is the remainder of a killed creation or copy: nobody can use it."""
    match state:
        case Begun(task):
            return not task.is_running
        case HalfCleared():
            return True
        case Ours(config):
            return config.lock == "create" and config.rootfs is None
        case _:
            return False


async def clear(work: Work, *, node: str | None = None) -> None:
    """Remove what a killed creation of ours left: a locked config without a container.

    Args:
        work: the run; it stores that it clears, since without its lock nothing else identifies the config.
        node: where it lies, if not on the container's own.
    """
    vmid = work.target.vmid
    await work.journal.report(f"Clearing away what a killed creation left of {vmid}.")
    pct = Pct(work.cluster.shell(node or work.target.node))
    if work.facts(ClearingFacts).clearing != vmid:
        await work.remember(ClearingFacts(clearing=vmid))
    with contextlib.suppress(PctFailed, ContainerMissing):
        # A former owner of this run may have unlocked it; if it is locked still, the next command says so.
        await pct.unlock(vmid)
    await pct.destroy(vmid)
    await work.remember(tasks.NO_TASK, ClearingFacts(clearing=None))


async def stamp(work: Work) -> None:
    """Write our mark into the notes anew, after a copy or a restore; the user's part stays."""

    def stamped(config: ContainerConfig) -> Params:
        notes = marks.stamped(config, work.target, work.command.job)
        return {"description": notes} if notes != config.description.strip() else {}

    await rewrite(work, stamped)


async def rewrite(work: Work, decide: Callable[[ContainerConfig], Params]) -> Params:
    """Change the config as decided from its present state; decide anew if others change it meanwhile.

    Returns:
        The changes; empty if there was nothing to change.
    """
    api, target, rounds = work.cluster.api, work.target, 0
    while True:
        rounds += 1
        config = await work.config()
        changes = decide(config)
        try:
            if changes:
                await api.set_config(target.node, target.vmid, changes, digest=config.digest)
        except ConfigChanged:
            if rounds == _ROUNDS:
                raise
        else:
            return changes
