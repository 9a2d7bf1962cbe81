"""What the gateway asks others for, answered on a real bus."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from slipway.contracts import container_specs, containers, job_logs, jobs, templates
from slipway.contracts.health import (
    GetCatalogHealth,
    GetInventoryHealth,
    GetMonitorHealth,
    GetProvisionerHealth,
    Health,
)
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Query
from slipway.contracts.problems import Conflict, FieldError, Invalid, NotFound
from slipway.contracts.values import JobState, Lifecycle, Power, Sealed
from slipway.gateway.app import assemble
from slipway.gateway.settings import GatewaySettings
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.job_logs import StoredEvent, pack
from slipway.runtime.process.service import Service
from slipway.runtime.process.settings import DatabaseSettings, ServiceSettings
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.topology.identities import Identities, generate
from slipway.standalone.embedded.nats import EmbeddedNats
from support.clients import http_client
from support.nats import MakeBus
from support.waiting import until

TOKEN = "the-bootstrap-token-of-this-test"
MOST_VIEWERS = 4
PASSWORD = "a generated password"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Others:
    """Inventory's and catalog's answers, and what they were asked."""

    identities: Identities
    asked: list[tuple[Query[Any], Call]] = field(default_factory=list)
    stored: dict[str, list[StoredEvent]] = field(default_factory=dict)
    """Job logs by job."""
    states: dict[str, JobState] = field(default_factory=lambda: {"job-1": JobState.RUNNING})
    refusal: str = "job.ended"
    """What a cancel is refused with."""
    missing: dict[str, str] = field(default_factory=dict)
    """What these services lack."""
    ended_at: datetime | None = None
    """When the jobs ended that have; else long ago."""

    def as_inventory(self, bus: Bus) -> None:
        """Answer what the gateway asks inventory."""
        bus.answer(GetInventoryHealth, self.on_health)
        bus.answer(jobs.GetJob, self.on_job)
        bus.answer(jobs.ListJobs, self.on_jobs)
        bus.answer(job_logs.GetJobLog, self.on_event)
        bus.answer(containers.CreateContainer, self.on_create)
        bus.answer(containers.RevealCredential, self.on_reveal)
        bus.answer(containers.ListContainers, self.on_containers)
        bus.answer(containers.GetContainer, self.on_container)
        bus.answer(containers.DeleteContainer, self.on_delete)
        bus.answer(jobs.RequestCancel, self.on_cancel)

    def as_catalog(self, bus: Bus) -> None:
        """Answer what the gateway asks catalog."""
        bus.answer(GetCatalogHealth, self.on_health)
        bus.answer(templates.GetTemplate, self.on_template)
        bus.answer(templates.ListTemplates, self.on_templates)

    def as_provisioner(self, bus: Bus) -> None:
        """Be there."""
        bus.answer(GetProvisionerHealth, self.on_health)

    def as_monitor(self, bus: Bus) -> None:
        """Be there."""
        bus.answer(GetMonitorHealth, self.on_health)

    async def on_health(self, _query: Query[Health], _call: Call) -> Health:
        """Return what is missing."""
        return Health(missing=self.missing)

    def opened(self, sealed: Sealed, *, field: str) -> str:
        """Open as inventory does."""
        return (
            self._sealer("inventory").open(sealed, owner="container-create", field=field).get_secret_value()
        )

    async def on_job(self, query: jobs.GetJob, _call: Call) -> jobs.Job:
        """Know some jobs."""
        if query.job not in self.states:
            raise NotFound(f"There is no job {query.job}.", code="job.not-found")
        return jobs.Job(
            id=query.job,
            kind=JobKind.CREATE,
            state=self.states[query.job],
            container="c-1",
            vmid=100,
            hostname="web",
            actor="bootstrap",
            created_at=NOW,
            finished_at=self.ended_at,
        )

    async def on_jobs(self, query: jobs.ListJobs, call: Call) -> jobs.JobPage:
        """Know nothing."""
        self.asked.append((query, call))
        return jobs.JobPage(items=())

    async def on_event(self, query: job_logs.GetJobLog, _call: Call) -> job_logs.JobLogPart:
        """Serve stored job logs two events at a time."""
        following = [each for each in self.stored.get(query.job, []) if each.sequence > query.after][:2]
        packed = base64.b64encode(pack(following)).decode() if following else ""
        return job_logs.JobLogPart(is_stored=query.job in self.stored, packed=packed)

    async def on_containers(self, query: containers.ListContainers, call: Call) -> containers.ContainerPage:
        """Know nothing."""
        self.asked.append((query, call))
        return containers.ContainerPage(items=())

    async def on_container(self, query: containers.GetContainer, _call: Call) -> containers.Container:
        """Know one that is being created."""
        return containers.Container(
            id=query.container,
            vmid=100,
            hostname="web",
            cluster="lab",
            cluster_id="cl-1",
            node="pve",
            lifecycle=Lifecycle.CREATING,
            power=Power.UNKNOWN,
            job="job-1",
            spec=container_specs.ContainerSpec(template="nginx-site", hostname="web"),
            created_at=NOW,
            updated_at=NOW,
        )

    async def on_cancel(self, query: jobs.RequestCancel, call: Call) -> jobs.Job:
        """Refuse it: the job ended a moment before."""
        self.asked.append((query, call))
        raise Conflict("The job has ended: succeeded.", code=self.refusal)

    async def on_delete(self, query: containers.DeleteContainer, call: Call) -> containers.Accepted:
        """Accept it."""
        self.asked.append((query, call))
        ref = containers.ContainerRef(id=query.container, vmid=100, hostname="web")
        return containers.Accepted(job=containers.JobRef(id="job-2"), container=ref)

    async def on_create(self, query: containers.CreateContainer, call: Call) -> containers.Accepted:
        """Accept everything but a hostname with a dot."""
        self.asked.append((query, call))
        if "." in query.spec.hostname:
            message = "A hostname has no dot."
            raise Invalid(message, errors=[FieldError(field="hostname", message=message)])
        ref = containers.ContainerRef(id="c-1", vmid=100, hostname=query.spec.hostname)
        return containers.Accepted(job=containers.JobRef(id="job-1"), container=ref)

    async def on_reveal(self, query: containers.RevealCredential, _call: Call) -> containers.Revealed:
        """Show a password."""
        seal = self._sealer("inventory").seal
        box = seal(SecretStr(PASSWORD), to="gateway", owner=query.credential, field="value")
        return containers.Revealed(id=query.credential, name="root/password", value=box)

    async def on_template(self, query: templates.GetTemplate, _call: Call) -> templates.Template:
        """Serve one template, with an open and a secret variable."""
        variables = (templates.Variable(name="title"), templates.Variable(name="key", is_secret=True))
        manifest = templates.Manifest(
            name=query.name, version="1", description="", ostemplate="debian", variables=variables
        )
        return templates.Template(name=query.name, manifest=manifest, bundle="0" * 64, created_at=NOW)

    async def on_templates(self, _query: templates.ListTemplates, call: Call) -> templates.TemplateList:
        """Serve three."""
        names = ("alpha", "beta", "gamma")
        items = [await self.on_template(templates.GetTemplate(name=name), call) for name in names]
        return templates.TemplateList(items=tuple(items))

    def _sealer(self, service: str) -> Sealer:
        keys = self.identities
        own = keys.sealing_file(service)
        return Sealer(ServiceSettings(sealing_key_file=own, sealing_public_file=keys.public_file))


async def answering_others(make_bus: MakeBus, folder: Path) -> Others:
    """Let buses answer as the other services do; their keys are in a folder."""
    others = Others(generate(folder / "keys"))
    await make_bus("inventory", others.as_inventory)
    await make_bus("catalog", others.as_catalog)
    await make_bus("provisioner", others.as_provisioner)
    await make_bus("monitor", others.as_monitor)
    return others


@asynccontextmanager
async def running_gateway(
    database: DatabaseSettings, server: EmbeddedNats, others: Others, folder: Path, **changes: Any
) -> AsyncIterator[Service]:
    """Run a gateway in this process until the block ends, with settings that keep no test waiting."""
    token_file = folder / "token"
    token_file.write_text(TOKEN + "\n")
    settings = GatewaySettings(
        **database.model_dump(),
        nats_url=server.url,
        bootstrap_token_file=token_file,
        sealing_key_file=others.identities.sealing_file("gateway"),
        sealing_public_file=others.identities.public_file,
        heartbeat_comments=timedelta(seconds=0.3),
        slow_viewer_grace=timedelta(seconds=0.5),
        most_viewers=MOST_VIEWERS,
        request_timeout=timedelta(seconds=2),
        **changes,
        graceful_timeout=timedelta(seconds=3),
    )
    service = assemble(settings)
    serving = asyncio.create_task(service.serve())

    async def is_ready() -> bool:
        return (await probe.get("/readyz")).is_success

    async with asyncio.timeout(15):
        await service.ready.wait()
        async with http_client(base_url=url_of(service)) as probe:
            await until(is_ready)
    yield service
    service.stopping.set()
    await serving


def url_of(service: Service) -> str:
    """Return where a service serves."""
    return f"http://127.0.0.1:{service.port}"
