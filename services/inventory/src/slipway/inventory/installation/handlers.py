"""Answers about this installation."""

from dataclasses import dataclass

from slipway.contracts.installation import (
    GetInstallation,
    Installation,
    PlanResume,
    ResumeInstallation,
    ResumePlan,
)
from slipway.inventory.containers.looks import Looks
from slipway.inventory.installation.gate import Gate
from slipway.inventory.installation.store import read_installation
from slipway.inventory.installation.use_cases import decide_resume, plan_resume
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call
from slipway.runtime.database.engine import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationHandlers:
    """Answers about this installation."""

    database: Database
    unit: UnitOfWork
    looks: Looks
    gate: Gate

    async def get(self, _query: GetInstallation, _call: Call) -> Installation:
        """Return it."""
        async with self.database.autocommit() as tx:
            return await read_installation(tx)

    async def plan(self, _query: PlanResume, _call: Call) -> ResumePlan:
        """Return what a resume would find and do."""
        async with self.database.begin() as tx:
            return await plan_resume(tx, self.looks)

    async def resume(self, request: ResumeInstallation, call: Call) -> Installation:
        """Let it act again. A second request is refused: there is nothing to resume any more."""
        resumed = await self.unit.run(call, lambda tx: decide_resume(tx, request, self.looks))
        self.gate.note(resumed)
        return resumed
