"""What every step works with: the order, the host, the template, the secrets, the journal."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from pydantic import SecretStr

from slipway.contracts.cluster_settings import ClusterLimits
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_events import JobLog
from slipway.contracts.jobs import RunJob, StepStatus, Target
from slipway.provisioner.bundle import Bundle
from slipway.provisioner.engine.facts import StepFacts
from slipway.provisioner.engine.journal import Journal
from slipway.provisioner.engine.step import Step
from slipway.proxmox.answers import ContainerConfig, ContainerStatus, Power
from slipway.proxmox.detached import Detached
from slipway.proxmox.guest_session import GuestSession
from slipway.proxmox.hosts import HostCluster
from slipway.proxmox.pct import Pct, open_session
from slipway.proxmox.protocols import Shell
from slipway.runtime.bus.client import Bus

BOOT_WAIT = timedelta(seconds=60)
FactsT = TypeVar("FactsT", bound=StepFacts)


@dataclass(slots=True, kw_only=True)
class Work:
    """One run of a job on a container."""

    command: RunJob
    cluster: HostCluster
    bundle: Bundle | None
    secrets: Mapping[str, SecretStr]
    """`password`, `variable:NAME`."""
    journal: Journal
    bus: Bus
    ask_limits: Callable[[], Awaitable[ClusterLimits]]
    """Asks what the cluster allows of its hosts now."""
    boot_wait: timedelta = BOOT_WAIT
    """How long a guest may take until it has an address, and again until its boot is done."""
    reopen: Callable[[], Awaitable[HostCluster]] | None = None
    """Asks for the access to the host anew."""
    step: "Step[Work] | None" = None
    """The step that runs now."""
    has_sessions: bool = False
    """Whether commands in the container share a session; then `release` has to end it."""
    _sessions: dict[tuple[Shell, int], GuestSession] = field(default_factory=dict)

    @property
    def spec(self) -> ContainerSpec:
        """The complete spec of the order."""
        return self.command.spec

    @property
    def target(self) -> Target:
        """The container; its VMID may have been replaced since the order."""
        return self.journal.record.target

    @property
    def pct(self) -> Pct:
        """Commands in the container."""
        shell, vmid = self.cluster.shell(self.target.node), self.target.vmid
        if not self.has_sessions:
            return Pct(shell)
        if (shell, vmid) not in self._sessions:
            self._sessions[shell, vmid] = open_session(shell, vmid)
        return Pct(shell, self._sessions[shell, vmid])

    @property
    def detached(self) -> Detached:
        """Work in the container that survives this process."""
        return Detached(self.pct, self.target.vmid)

    @property
    def step_name(self) -> str:
        """The name of the step that runs now; empty between two steps."""
        return self.step.name if self.step else ""

    @property
    def secret_variables(self) -> Mapping[str, SecretStr]:
        """The template's secret variables, by name."""
        prefix = "variable:"
        return {
            key.removeprefix(prefix): each for key, each in self.secrets.items() if key.startswith(prefix)
        }

    async def config(self, of: Target | None = None) -> ContainerConfig:
        """Read the config of the job's container, or of another.

        Raises:
            ContainerMissing: there is none on that node.
        """
        target = of or self.target
        return await self.cluster.api.config(target.node, target.vmid)

    async def status(self, of: Target | None = None) -> ContainerStatus:
        """Read the status of the job's container, or of another; raise as `config` does."""
        target = of or self.target
        return await self.cluster.api.status(target.node, target.vmid)

    async def is_running(self, of: Target | None = None) -> bool:
        """Return whether the job's container, or another, runs now."""
        return (await self.status(of)).status is Power.RUNNING

    async def release(self) -> None:
        """End what is open on the host for this run."""
        sessions, self._sessions = self._sessions, {}
        await asyncio.gather(*(session.aclose() for session in sessions.values()))

    async def renew_access(self) -> None:
        """Ask for the access to the host anew: the old one was refused."""
        if self.reopen is not None:
            self.cluster = await self.reopen()

    def facts(self, topic: type[FactsT], step: str | None = None) -> FactsT:
        """Return the facts of a topic that a step has stored; those of the running step by default."""
        name = step or self.step_name
        status = next((each for each in self.journal.record.steps if each.name == name), None)
        return topic.read(status.facts if status else {})

    async def remember(self, *facts: StepFacts) -> None:
        """Store facts of the running step for a later owner, before acting on them."""
        await self.journal.commit(steps=self.steps_with(*facts))

    def note(self, *facts: StepFacts) -> None:
        """Store facts of the running step for later steps, together with its end, which follows at once."""
        self.journal.defer(steps=self.steps_with(*facts))

    def warn(self, *warnings: str) -> None:
        """Store warnings of the job, each once, with the end of the running step, which follows at once."""
        earlier = self.journal.record.warnings
        added = tuple(each for each in dict.fromkeys(warnings) if each not in earlier)
        if added:
            self.journal.defer(warnings=(*earlier, *added))

    def steps_with(self, *facts: StepFacts, **changes: object) -> tuple[StepStatus, ...]:
        """Return the record's steps with more facts of the running step, and with these changes of it."""
        added = {name: text for each in facts for name, text in each.stored().items()}
        return tuple(
            each.model_copy(update={**changes, "facts": {**each.facts, **added}})
            if each.name == self.step_name
            else each
            for each in self.journal.record.steps
        )

    async def log_context(self) -> JobLog:
        """Return the running step's log message without lines, with the offset that was stored last."""
        step, last = self.step, await self.journal.last_log()
        return JobLog(
            id=self.command.job,
            phase=step.phase if step else None,
            step=self.step_name,
            script=step.script if step else None,
            index=step.index if step else None,
            total=step.total if step else None,
            lines=(),
            offset=last.offset if last is not None and last.step == self.step_name else 0,
            logged_bytes=last.logged_bytes if last is not None else 0,
        )
