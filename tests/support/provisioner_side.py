"""The provisioner between a real bus and a lab, with a bus beside it that answers as inventory does."""

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from slipway.contracts import clusters
from slipway.contracts.cluster_settings import DENIED, ClusterLimits
from slipway.contracts.container_specs import ContainerSpec, NetworkSpec
from slipway.contracts.guests import DiscoverGuest, Discovery
from slipway.contracts.job_events import JobLog
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import (
    CancelJob,
    GetJobSecrets,
    JobSecrets,
    ReplacedVmid,
    ReplaceVmid,
    RunJob,
    RunRecord,
    Target,
)
from slipway.contracts.plans import Explained, ExplainRun
from slipway.contracts.templates import HealthCheck, Manifest, TemplateScript
from slipway.contracts.tiers import Tier
from slipway.inventory.containers.lifecycle import first_step
from slipway.lab.node import Lab
from slipway.provisioner.access import Access
from slipway.provisioner.app import register
from slipway.provisioner.bundle import BundleCache
from slipway.provisioner.dry_run.explainer import Explainer
from slipway.provisioner.engine.log_bound import LIMITS, LogLimits
from slipway.provisioner.engine.records import Runs
from slipway.provisioner.engine.worker import Worker
from slipway.provisioner.host import marks
from slipway.provisioner.host.work import BOOT_WAIT, Work
from slipway.provisioner.preparation import Preparation
from slipway.provisioner.settings import ProvisionerSettings
from slipway.provisioner.workflow import container_workflow
from slipway.proxmox.answers import Power
from slipway.proxmox.hosts import Cluster, Hosts
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.bus.stored import read_all
from slipway.runtime.process.clock import now
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.topology.identities import Identities, generate
from support import lab_client
from support.inventory_side import spec_of
from support.nats import MakeBus

CLUSTER = "k1"
VMID = 100
DELIVERY = Delivery(
    call=Call(actor="user:test", correlation_id="test"),
    stream_sequence=1,
    attempts=1,
    subject=RunJob.subject,
    message_id="test",
)


async def _at_once() -> None:
    """Wait for nothing."""


@dataclass
class Answers:
    """What the provisioner asks of inventory."""

    lab: Lab
    identities: Identities
    token_secret: str | None = None
    tier: Tier = Tier.FULL
    asked_for_access: int = 0
    asked_for_secrets: int = 0
    limits: ClusterLimits = DENIED
    before_secrets: Callable[[], Awaitable[object]] = _at_once
    before_access: Callable[[], Awaitable[object]] = _at_once
    """What an answer waits for."""

    def register(self, bus: Bus) -> None:
        """Answer on a bus."""
        bus.answer(GetJobSecrets, self.secrets)
        bus.answer(clusters.GetClusterAccess, self.access)
        bus.answer(ReplaceVmid, self.replace)

    def register_discovery(self, bus: Bus) -> None:
        """Answer on a bus of monitor's."""
        bus.answer(DiscoverGuest, self.discover)

    async def discover(self, _query: DiscoverGuest, _call: Call) -> Discovery:
        """Find nothing."""
        return Discovery()

    async def secrets(self, _query: GetJobSecrets, _call: Call) -> JobSecrets:
        """No job has any."""
        self.asked_for_secrets += 1
        await self.before_secrets()
        return JobSecrets()

    async def replace(self, query: ReplaceVmid, _call: Call) -> ReplacedVmid:
        """Return the next number."""
        return ReplacedVmid(vmid=query.refused + 1)

    async def access(self, query: clusters.GetClusterAccess, _call: Call) -> clusters.ClusterAccess:
        """Return the lab's secrets."""
        self.asked_for_access += 1
        await self.before_access()
        fields = {"token_secret": self.token_secret or self.lab.token_secret}
        if self.tier.uses_ssh:
            fields["ssh_private_key"] = self.lab.ssh_private_key
        sealer = Sealer(
            ServiceSettings(
                sealing_key_file=self.identities.sealing_file("inventory"),
                sealing_public_file=self.identities.public_file,
            )
        )
        boxes = {
            name: sealer.seal(SecretStr(value), to=query.seal_to, owner=query.cluster, field=name)
            for name, value in fields.items()
        }
        return clusters.ClusterAccess(
            id=query.cluster,
            spec=spec_of(self.lab, tier=self.tier),
            secrets=clusters.ClusterSecrets(**boxes),
            limits=self.limits,
        )


@dataclass
class Ground:
    """A worker, and all that it stands on."""

    lab: Lab
    bus: Bus
    answers: Answers
    hosts: Hosts
    access: Access
    preparation: Preparation
    worker: Worker[Work]
    runs: Runs
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        """The test's own connections to the lab."""
        return self.hosts.open("test", lab_client.access_to(self.lab))

    def target(self, vmid: int = VMID, container: str = "c1") -> Target:
        """Return a container."""
        return Target(
            container=container,
            cluster=CLUSTER,
            cluster_name="home",
            node=self.lab.name,
            vmid=vmid,
            hostname="web-1",
        )

    async def command(self, kind: JobKind, job: str = "j1", **changes: Any) -> RunJob:
        """Order a job on the container, complete as inventory would."""
        template = (await self.cluster.api.content(self.lab.name, "local", kind="vztmpl"))[0].volid
        spec = ContainerSpec(
            hostname="web-1",
            ostemplate=template,
            node=self.lab.name,
            storage="local",
            disk=1,
            cores=1,
            memory=256,
            swap=0,
            unprivileged=True,
            features={"nesting": True},
            networks=(NetworkSpec(name="eth0", bridge="vmbr0", ip="dhcp"),),
        )
        args = {"hostname": "web-1"} if kind is JobKind.CLONE else {}
        order = {"job": job, "kind": kind, "target": self.target(), "spec": spec, "args": args}
        return RunJob.model_validate({**order, **changes})

    async def bundle(self, *, health: HealthCheck | None = None, **scripts: str) -> str:
        """Store a template of scripts, run in the order of their names; return its hash."""
        return await Bundles(self.bus).put(template(health=health, **scripts))

    async def make(
        self,
        vmid: int = VMID,
        *,
        container: str = "c1",
        runs: bool = False,
        rootfs: str = "local:1",
        by: Cluster | None = None,
        **beside: str | int,
    ) -> None:
        """Make a container that carries our mark."""
        notes = marks.notes(None, self.target(vmid, container), "j0", mac=None)
        fields = {"hostname": "web-1", "description": notes, "rootfs": rootfs, **beside}
        await lab_client.create(by or self.cluster, vmid, **fields)
        if runs:
            await lab_client.start(self.cluster, vmid)

    def begin(self, command: RunJob, worker: Worker[Work] | None = None) -> "asyncio.Task[None]":
        """Hand a command to the worker."""
        task = asyncio.create_task((worker or self.worker).run(command, DELIVERY))
        self.tasks.append(task)
        return task

    async def is_running(self, vmid: int = VMID) -> bool:
        """Whether a container runs now."""
        return (await self.cluster.api.status(self.lab.name, vmid)).status is Power.RUNNING

    async def is_there(self, vmid: int = VMID) -> bool:
        """Whether there is a container of that number."""
        return not await self.cluster.api.is_free(vmid)

    async def retry(self, command: RunJob) -> RunRecord:
        """Retry a failed job from the step that failed, as inventory orders it; return its record."""
        record = await self.record(command.job)
        again = {"job": f"{command.job}-again", "retry_of": command.job}
        first = first_step(record, None, command.first_step)
        return await self.run(command.model_copy(update={**again, "first_step": first}))

    async def run(self, command: RunJob) -> RunRecord:
        """Run a job to its end; return its record."""
        await self.begin(command)
        return await self.record(command.job)

    async def explain(self, command: RunJob) -> Explained:
        """Ask what a job would do."""
        return await Explainer(self.preparation).explain(ExplainRun(command=command), DELIVERY.call)

    async def record(self, job: str = "j1") -> RunRecord:
        """Return a job's record."""
        stored = await self.runs.load(job)
        assert stored is not None
        return stored[0]

    async def until_record(self, job: str, holds: Any, *, seconds: float = 20.0) -> RunRecord:
        """Wait until a job's record is as wanted."""
        async with asyncio.timeout(seconds):
            while True:
                stored = await self.runs.load(job)
                if stored is not None and holds(stored[0]):
                    return stored[0]
                await asyncio.sleep(0.02)

    async def cancel(self, command: RunJob, **changes: Any) -> None:
        """Set the cancel flag, as the worker does on a cancel command."""
        order = CancelJob(job=command.job, kind=command.kind, target=command.target, **changes)
        await self.runs.request_cancel(order, at=now())

    async def lines(self, job: str = "j1") -> list[str]:
        """Return all lines of a job's log that have an end, as they are stored."""
        logs = [each for each in await self.logs(job) if not each.is_unfinished]
        return [line.text for each in logs for line in each.lines]

    async def is_logged(self, text: str, *, is_unfinished: bool, job: str = "j1") -> bool:
        """Return whether a line of a job's log holds a text."""
        logs = [each for each in await self.logs(job) if each.is_unfinished == is_unfinished]
        return any(text in line.text for each in logs for line in each.lines)

    async def logs(self, job: str) -> list[JobLog]:
        """Return all log messages of a job."""
        stored = await read_all(self.bus.connection, "EVENTS", subject=f"slipway.v1.event.job.{job}.log")
        return [JobLog.model_validate_json(each.payload) for each in stored]

    async def end(self) -> None:
        """Leave nothing running."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def facts_of(record: RunRecord, step: str) -> Mapping[str, str]:
    """Return what a step has stored."""
    return next((each.facts for each in record.steps if each.name == step), {})


def status_of(record: RunRecord, step: str) -> str | None:
    """Return how a step ended."""
    return next((each.status for each in record.steps if each.name == step), None)


@asynccontextmanager
async def provisioner_on(
    lab: Lab,
    make_bus: MakeBus,
    folder: Path,
    *,
    retry_budget: timedelta = timedelta(seconds=20),
    lock_wait: timedelta = timedelta(hours=2),
    boot_wait: timedelta = BOOT_WAIT,
    log_limits: LogLimits = LIMITS,
) -> AsyncIterator[Ground]:
    """Run a worker that learns of a cancel flag by reading the record, unless it listens."""
    answers = Answers(lab, generate(folder / "keys"))
    await make_bus("inventory", answers.register)
    await make_bus("monitor", answers.register_discovery)
    settings = settings_of(answers.identities)
    bus = await make_bus("provisioner")
    hosts = Hosts(folder / "record")
    access = Access(bus, Sealer(settings), hosts)
    runs = Runs(bus)
    preparation = Preparation(bus, access, BundleCache(Bundles(bus)), Sealer(settings), boot_wait=boot_wait)
    workflow = container_workflow(preparation, lock_wait)
    worker = Worker(bus, runs, workflow, retry_budget=retry_budget, log_limits=log_limits)
    ground = Ground(lab, bus, answers, hosts, access, preparation, worker, runs)
    try:
        yield ground
    finally:
        await ground.end()
        await access.aclose()


@asynccontextmanager
async def replica(ground: Ground, make_bus: MakeBus) -> AsyncIterator[Worker[Work]]:
    """Run a second, whole provisioner, which takes commands from the bus and listens."""
    settings, workers = settings_of(ground.answers.identities), list[Worker[Work]]()
    accesses: list[Access] = []

    def assemble(bus: Bus) -> None:
        accesses.append(Access(bus, Sealer(settings), Hosts()))
        workers.append(register(bus, settings, accesses[0]))

    await make_bus("provisioner", assemble)
    await workers[0].listen()
    yield workers[0]
    await accesses[0].aclose()


def settings_of(identities: Identities) -> ProvisionerSettings:
    """Return a provisioner's settings."""
    return ProvisionerSettings(
        sealing_key_file=identities.sealing_file("provisioner"),
        sealing_public_file=identities.public_file,
    )


def template(*, health: HealthCheck | None = None, **scripts: str) -> bytes:
    """Return the archive of a template of scripts, run in the order of their names."""
    named = {f"{name}.sh": text for name, text in sorted(scripts.items())}
    manifest = Manifest(
        name="test",
        version="1",
        description="",
        ostemplate="debian",
        scripts=tuple(TemplateScript(name=name, timeout_seconds=120) for name in named),
        health=health,
    )
    members = {f"scripts/{name}": text for name, text in named.items()}
    return _archive({"manifest.json": manifest.model_dump_json(), "lib/slipway.sh": "", **members})


def _archive(members: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in members.items():
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
