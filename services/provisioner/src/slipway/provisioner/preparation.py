"""Gathers what the steps of a run need: access to the host, the template, the secrets."""

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from slipway.contracts.job_kinds import KINDS
from slipway.contracts.jobs import GetJobSecrets, JobSecrets, RunJob
from slipway.contracts.tiers import TierTooLow
from slipway.contracts.values import JobState
from slipway.provisioner.access import Access
from slipway.provisioner.bundle import Bundle, BundleCache
from slipway.provisioner.engine.ahead import Ahead
from slipway.provisioner.engine.journal import Journal
from slipway.provisioner.host.work import BOOT_WAIT, Work
from slipway.proxmox.hosts import Cluster
from slipway.runtime.bus.client import Bus
from slipway.runtime.secrets.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Preparation:
    """Makes the `Work` of a run."""

    bus: Bus
    access: Access
    bundles: BundleCache
    sealer: Sealer
    boot_wait: timedelta = BOOT_WAIT

    def ask(self, command: RunJob) -> "RunQuestions":
        """Ask for everything that a run needs."""
        return RunQuestions(
            preparation=self,
            command=command,
            secrets=Ahead(partial(self.bus.ask, GetJobSecrets(job=command.job))),
            cluster=Ahead(partial(self.access.open, command.target.cluster)),
            bundle=Ahead(partial(self.bundle, command.bundle)),
        )

    async def without_secrets(self, command: RunJob, journal: Journal) -> Work:
        """Gather what a dry run needs."""
        bundle = await self.bundle(command.bundle)
        return self.work(command, journal, await self.access.open(command.target.cluster), bundle)

    def work(self, command: RunJob, journal: Journal, cluster: Cluster, bundle: Bundle | None) -> Work:
        """Return what steps work with, without secrets."""
        return Work(
            command=command,
            cluster=cluster,
            bundle=bundle,
            secrets={},
            journal=journal,
            bus=self.bus,
            boot_wait=self.boot_wait,
            reopen=partial(self.access.open, command.target.cluster),
            ask_limits=partial(self.access.limits, command.target.cluster),
        )

    async def bundle(self, sha256: str | None) -> Bundle | None:
        """Return the template that a command names, if it does."""
        return await self.bundles.get(sha256) if sha256 else None


def _refuse_below(command: RunJob, cluster: Cluster) -> None:
    tier, needed = cluster.access.tier, KINDS[command.kind].tier
    if not tier.covers(needed):
        raise TierTooLow(
            f"Cluster {command.target.cluster_name} has tier {tier} now, and {command.kind} needs {needed}. "
            "Raise its tier, then retry the job.",
            tier=tier,
            needed=needed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuestions:
    """What is asked for a run, all side by side."""

    preparation: Preparation
    command: RunJob
    secrets: Ahead[JobSecrets]
    cluster: Ahead[Cluster]
    bundle: Ahead[Bundle | None]

    async def job_state(self) -> JobState:
        """Return the state of the job, as inventory knows it."""
        return (await self.secrets.answer()).state

    async def prepare(self, journal: Journal) -> Work:
        """Gather everything that the run needs from the answers."""
        of_job, cluster = await self.secrets.answer(), await self.cluster.answer()
        _refuse_below(self.command, cluster)
        work = self.preparation.work(self.command, journal, cluster, await self.bundle.answer())
        unseal = partial(self.preparation.sealer.open, owner=self.command.target.container)
        secrets = {key: unseal(sealed, field=key) for key, sealed in of_job.secrets.items()}
        return replace(work, secrets=secrets, has_sessions=True)

    async def aclose(self) -> None:
        """Stop asking."""
        for each in (self.secrets, self.cluster, self.bundle):
            await each.aclose()
