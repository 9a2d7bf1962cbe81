"""Gathers what the steps of a run need: access to the host, the template, the secrets."""

from asyncio import gather
from dataclasses import dataclass, replace
from datetime import timedelta

from slipway.contracts.jobs import GetJobSecrets, JobSecrets, RunJob
from slipway.provisioner.access import Access
from slipway.provisioner.bundle import Bundle, BundleCache
from slipway.provisioner.engine.journal import Journal
from slipway.provisioner.host.work import BOOT_WAIT, Work
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.host_access import NONE, HostAccessPolicy
from slipway.runtime.secrets.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Preparation:
    """Makes the `Work` of a run."""

    bus: Bus
    access: Access
    bundles: BundleCache
    sealer: Sealer
    host_access: HostAccessPolicy = NONE
    boot_wait: timedelta = BOOT_WAIT

    async def prepare(self, command: RunJob, journal: Journal, secrets: JobSecrets | None = None) -> Work:
        """Gather everything that the run needs; ask for its secrets unless they are given."""
        work, of_job = await gather(self.without_secrets(command, journal), self._secrets(command, secrets))
        owner, sealed = command.target.container, of_job.secrets
        opened = {key: self.sealer.open(each, owner=owner, field=key) for key, each in sealed.items()}
        return replace(work, secrets=opened, has_sessions=True)

    async def without_secrets(self, command: RunJob, journal: Journal) -> Work:
        """Gather what a dry run needs."""
        cluster, bundle = await gather(self.access.open(command.target.cluster), self._bundle(command.bundle))
        return Work(
            command=command,
            cluster=cluster,
            bundle=bundle,
            secrets={},
            journal=journal,
            bus=self.bus,
            host_access=self.host_access,
            boot_wait=self.boot_wait,
            reopen=lambda: self.access.open(command.target.cluster),
        )

    async def _secrets(self, command: RunJob, secrets: JobSecrets | None) -> JobSecrets:
        return secrets or await self.bus.ask(GetJobSecrets(job=command.job))

    async def _bundle(self, sha256: str | None) -> Bundle | None:
        return await self.bundles.get(sha256) if sha256 else None
