"""Asks Proxmox, through the provisioner, whether a container is there; decides what follows from it.

A forgotten container is looked for again and again: Proxmox does not report that it is back. A claim on a
name or a VMID is given up only when Proxmox itself calls the VMID free, at the moment of asking.
"""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial

from slipway.contracts.containers import Container
from slipway.contracts.host_state import CheckJob, CheckVmid, GetGuard, Guard
from slipway.contracts.job_kinds import AnyArgs, JobKind
from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict, Unavailable, to_error
from slipway.contracts.values import Lifecycle
from slipway.inventory.containers.claims import HostnameTaken
from slipway.inventory.containers.defaults import VmidTaken
from slipway.inventory.containers.lifecycle import HOLDING, LOST
from slipway.inventory.containers.removal import ContainerRemovalStore
from slipway.inventory.containers.use_cases import decide_forget, decide_release, decide_return
from slipway.inventory.decision import Claim, Gone
from slipway.inventory.jobs import validation
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.validation import ContainerProtected
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus import call as calls
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.logs import get_logger

log = get_logger()

EVERY_SECONDS = 10.0
"""How often forgotten containers are looked for."""
_OF_PROXMOX = "proxmox."


class ContainerPresent(Conflict):
    """It is there, so it can't be forgotten."""

    code = "container.present"


class ProxmoxAway(Unavailable):
    """Proxmox can't be asked now."""

    code = "proxmox.unreachable"
    retry_after_seconds = 5.0


class HostCheck:
    """Finds out whether containers are on their hosts."""

    def __init__(self, bus: Bus, unit: UnitOfWork, store: ContainerRemovalStore, records: Records) -> None:
        self._bus = bus
        self._unit = unit
        self._store = store
        self._records = records

    async def refuse_deletion(self, container: Container) -> None:
        """Raise if Proxmox protects a container, or can't be reached.

        Raises:
            ContainerProtected: `protection` is set. While no provisioner answers, the spec counts.
            ProxmoxAway: says why, and what can be done.
        """
        if container.lifecycle not in {Lifecycle.READY, Lifecycle.FAILED}:
            return
        try:
            is_protected = (await self._bus.ask(GetGuard(target=Target.of(container)))).is_protected
        except Unavailable as error:
            if error.code.startswith(_OF_PROXMOX):
                raise ProxmoxAway(
                    f"Container {container.hostname} ({container.vmid}) can't be deleted now: "
                    f"{error.message} "
                    "If its host is gone for good, drop the record: "
                    f"POST /api/v1/containers/{container.id}/forget.",
                    vmid=container.vmid,
                ) from error
            is_protected = bool(container.spec.protection)
        if is_protected:
            raise ContainerProtected(
                f"Container {container.hostname} ({container.vmid}) is protected in Proxmox, so it is not "
                f"deleted. Take the protection off first: POST /api/v1/containers/{container.id}/configure "
                '{"protection": false}.',
                vmid=container.vmid,
            )

    async def refuse_impossible(self, container: Container, kind: JobKind, args: AnyArgs) -> None:
        """Raise what the host itself has against a job; while it can't be asked, the job finds out."""
        if not validation.looks_at_host(args) or container.lifecycle not in HOLDING:
            return
        try:
            check = await self._bus.ask(CheckJob(target=Target.of(container), kind=kind, args=args))
        except Unavailable as error:
            log.info("job accepted without a check of its host", kind=kind, reason=error.message)
            return
        if check.problem is not None:
            raise to_error(check.problem)

    async def forget(self, call: Call, container: Container) -> None:
        """Drop a container unless it is seen on its host."""
        try:
            guard = await self._bus.ask(GetGuard(target=Target.of(container)))
        except Unavailable:
            guard = Guard()
        if guard.is_ours:
            raise ContainerPresent(
                f"Container {container.hostname} ({container.vmid}) is on node {guard.node}, so it is not "
                f"forgotten. Delete it instead: `slipway delete {container.id}`, or "
                f"DELETE /api/v1/containers/{container.id}.",
                vmid=container.vmid,
            )
        await self._unit.run(call, lambda tx: decide_forget(tx, container.id))

    async def gone(self, claim: Claim, *, give_up: bool) -> Gone:
        """Return what holds a name or a VMID that a request claims, and is gone from its host.

        A deletion that has just ended is taken over first. While Proxmox can't be asked, nothing is gone.

        Args:
            claim: the name and the VMID.
            give_up: release what is gone; else a plan leaves it out.
        """
        for job in await self._store.at_work(claim):
            await self._records.catch_up(job)
        try:
            targets = await self._gone(claim, among=HOLDING)
            is_vmid_free = claim.vmid is not None and await self._is_free(claim.cluster, claim.vmid)
        except Unavailable:
            targets, is_vmid_free = [], False
        if give_up:
            await self._release(targets)
            return Gone(is_vmid_free=is_vmid_free)
        return Gone(containers=frozenset(target.container for target in targets), is_vmid_free=is_vmid_free)

    async def release_gone(self, cluster: Id, vmid: int) -> None:
        """Give up a failed container that holds a VMID and is gone from its host.

        A whole one that is not seen may come back, restored by hand: it is given up only if another one wants
        its name or its VMID.

        Raises:
            Unavailable: if Proxmox can't be asked; nothing is given up then.
        """
        claim = Claim(cluster=cluster, hostname="", vmid=vmid)
        await self._release(await self._gone(claim, among={Lifecycle.FAILED}))

    async def _gone(self, claim: Claim, *, among: Collection[Lifecycle]) -> Sequence[Target]:
        """Ask which of the containers in these states that hold what is claimed are gone."""
        # One that a failed restore has lost keeps name and VMID for the next restore, or until it is deleted.
        return [
            target
            for target in await self._store.remains(claim, among=among, without=LOST)
            if not (await self._bus.ask(GetGuard(target=target))).is_ours
            and await self._is_free(claim.cluster, target.vmid)
        ]

    async def _release(self, gone: Sequence[Target]) -> None:
        for target in gone:
            await self._unit.run(calls.current(), partial(decide_release, container=target.container))
            log.info("container removed by hand", container=target.container)

    async def run(self) -> None:
        """Look for forgotten containers until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.look()
            except Unavailable as error:
                log.debug("forgotten containers not looked for", reason=error.message)

    async def look(self) -> None:
        """Look for forgotten containers once; a cluster that does not answer is left for the next time."""
        away: set[Id] = set()
        for target in await self._store.forgotten():
            if target.cluster in away:
                continue
            try:
                guard = await self._bus.ask(GetGuard(target=target))
            except Unavailable:
                away.add(target.cluster)
                continue
            if guard.is_ours and guard.node:
                await self._take_back(target.container, guard.node)

    async def _take_back(self, container: Id, node: str) -> None:
        try:
            await self._unit.run(calls.current(), lambda tx: decide_return(tx, container, node))
        except (HostnameTaken, VmidTaken) as error:
            log.warning(
                "forgotten container can't be stored again", container=container, reason=error.message
            )
        else:
            log.info("forgotten container stored again", container=container)

    async def _is_free(self, cluster: Id, vmid: int) -> bool:
        return (await self._bus.ask(CheckVmid(cluster=cluster, vmid=vmid))).is_free
