"""Gathers what the steps of a run need: access to the host, the template, the secrets."""

from dataclasses import replace

from slipway.contracts.jobs import GetJobSecrets, RunJob
from slipway.provisioner.access import Access
from slipway.provisioner.bundle import Bundle
from slipway.provisioner.engine.journal import Journal
from slipway.provisioner.host.work import Work
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.host_access import NONE, HostAccessPolicy
from slipway.runtime.secrets.sealing import Sealer


class Preparation:
    """Makes the `Work` of a run."""

    def __init__(
        self,
        bus: Bus,
        access: Access,
        bundles: Bundles,
        sealer: Sealer,
        host_access: HostAccessPolicy = NONE,
    ) -> None:
        self._bus = bus
        self._access = access
        self._bundles = bundles
        self._sealer = sealer
        self._host_access = host_access

    async def prepare(self, command: RunJob, journal: Journal) -> Work:
        """Gather everything that the run needs."""
        sealed = (await self._bus.ask(GetJobSecrets(job=command.job))).secrets
        work = await self.without_secrets(command, journal)
        owner = command.target.container
        secrets = {key: self._sealer.open(each, owner=owner, field=key) for key, each in sealed.items()}
        return replace(work, secrets=secrets, has_sessions=True)

    async def without_secrets(self, command: RunJob, journal: Journal) -> Work:
        """Gather what a dry run needs."""
        archive = await self._bundles.get(command.bundle) if command.bundle else None
        return Work(
            command=command,
            cluster=await self._access.open(command.target.cluster),
            bundle=Bundle.unpack(archive) if archive else None,
            secrets={},
            journal=journal,
            bus=self._bus,
            host_access=self._host_access,
            reopen=lambda: self._access.open(command.target.cluster),
        )
