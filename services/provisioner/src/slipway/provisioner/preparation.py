"""Gathers what the steps of a run need: access to the host, the template, the secrets."""

from dataclasses import dataclass, replace
from datetime import timedelta

from slipway.contracts.jobs import GetJobSecrets, RunJob
from slipway.provisioner.access import Access
from slipway.provisioner.bundle import Bundle
from slipway.provisioner.engine.journal import Journal
from slipway.provisioner.host.work import BOOT_WAIT, Work
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.host_access import NONE, HostAccessPolicy
from slipway.runtime.secrets.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Preparation:
    """Makes the `Work` of a run."""

    bus: Bus
    access: Access
    bundles: Bundles
    sealer: Sealer
    host_access: HostAccessPolicy = NONE
    boot_wait: timedelta = BOOT_WAIT

    async def prepare(self, command: RunJob, journal: Journal) -> Work:
        """Gather everything that the run needs."""
        sealed = (await self.bus.ask(GetJobSecrets(job=command.job))).secrets
        work = await self.without_secrets(command, journal)
        owner = command.target.container
        secrets = {key: self.sealer.open(each, owner=owner, field=key) for key, each in sealed.items()}
        return replace(work, secrets=secrets, has_sessions=True)

    async def without_secrets(self, command: RunJob, journal: Journal) -> Work:
        """Gather what a dry run needs."""
        archive = await self.bundles.get(command.bundle) if command.bundle else None
        return Work(
            command=command,
            cluster=await self.access.open(command.target.cluster),
            bundle=Bundle.unpack(archive) if archive else None,
            secrets={},
            journal=journal,
            bus=self.bus,
            host_access=self.host_access,
            boot_wait=self.boot_wait,
            reopen=lambda: self.access.open(command.target.cluster),
        )
