"""The HTTP API with types: what is sent and what is returned are the models of `slipway.contracts`.

A change returns `Accepted` at once; `wait` follows its job to its end.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from slipway.client.endpoints import find_endpoint
from slipway.client.sse import Outage, ServerEvent
from slipway.client.tls import Trust
from slipway.client.transport import Transport
from slipway.contracts.audit import AuditEntry
from slipway.contracts.clusters import Cluster
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Accepted, Container
from slipway.contracts.installation import Installation
from slipway.contracts.jobs import Job
from slipway.contracts.plans import Plan
from slipway.contracts.templates import Template, TemplateFault


class Client:
    """One user's connection to one Slipway; an asynchronous context manager."""

    def __init__(self, url: str, token: str, trust: Trust | None = None) -> None:
        self.transport = Transport(url, token, trust)

    @classmethod
    def connect(cls, data: Path | None = None) -> Self:
        """Return a client of the server that the environment or a data folder names."""
        return cls(*find_endpoint(data))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.transport.__aexit__(*error)

    async def containers(self, **filters: str) -> list[Container]:
        """List the containers; the filters are those of `GET /containers`."""
        items = await self.transport.items("/containers", **filters)
        return [Container.model_validate(item) for item in items]

    async def container(self, container: str) -> Container:
        """Return a container by its id."""
        return Container.model_validate(await self.transport.get(f"/containers/{container}"))

    async def create(self, spec: ContainerSpec, *, password: str | None = None) -> Accepted:
        """Create a container; without a password one is generated."""
        return Accepted.model_validate(await self.transport.post("/containers", _body(spec, password)))

    async def plan_create(self, spec: ContainerSpec, *, password: str | None = None) -> Plan:
        """Return what a creation would do."""
        return Plan.model_validate(
            await self.transport.post("/containers", _body(spec, password), plan="true")
        )

    async def change(self, container: str, verb: str, **arguments: Any) -> Accepted:
        """Start, stop, resize, ...: request a job on a container that exists."""
        return Accepted.model_validate(
            await self.transport.post(f"/containers/{container}/{verb}", arguments)
        )

    async def delete(self, container: str, *, cancel: bool = False) -> Accepted:
        """Delete a container; `cancel` also ends the creation that still works on it."""
        query = {"cancel": "true"} if cancel else {}
        return Accepted.model_validate(await self.transport.delete(f"/containers/{container}", **query))

    async def reveal(self, container: str, credential: str) -> str:
        """Return a credential in clear, by its id; the server audits it."""
        path = f"/containers/{container}/credentials/{credential}/reveal"
        return str((await self.transport.post(path))["value"])

    async def jobs(self, *, limit: int | None = None, **filters: str) -> list[Job]:
        """List the newest jobs; the filters are those of `GET /jobs`."""
        return [Job.model_validate(item) for item in await self.transport.items("/jobs", limit, **filters)]

    async def job(self, job: str) -> Job:
        """Return a job by its id."""
        return Job.model_validate(await self.transport.get(f"/jobs/{job}"))

    async def cancel(self, job: str, *, destroy: bool = False) -> Job:
        """Cancel a job; `destroy` also removes what a creation or a copy has made."""
        query = {"destroy": "true"} if destroy else {}
        return Job.model_validate(await self.transport.post(f"/jobs/{job}/cancel", **query))

    async def retry(self, job: str) -> Accepted:
        """Run a failed or cancelled job again, from the step that failed."""
        return Accepted.model_validate(await self.transport.post(f"/jobs/{job}/retry"))

    def follow(
        self, job: str, *, last_event_id: str | None = None, outage: Outage | None = None
    ) -> AsyncGenerator[ServerEvent, None]:
        """Yield a job's log to its end, each event once, also through broken connections."""
        return self.transport.follow_job(job, last_event_id=last_event_id, outage=outage)

    async def wait(self, job: str, *, outage: Outage | None = None) -> Job:
        """Wait for a job's end; return the job as it then is."""
        async with aclosing(self.follow(job, outage=outage)) as events:
            async for _ in events:
                pass
        return await self.job(job)

    async def clusters(self) -> list[Cluster]:
        """List the clusters with their nodes."""
        return [Cluster.model_validate(item) for item in await self.transport.items("/clusters")]

    async def add_cluster(self, **access: Any) -> Cluster:
        """Add a cluster; the arguments are those of `POST /clusters`, secrets in clear."""
        return Cluster.model_validate(await self.transport.post("/clusters", access))

    async def remove_cluster(self, cluster: str) -> None:
        """Remove a cluster, by name or id; its hosts are not touched."""
        await self.transport.delete(f"/clusters/{quote(cluster, safe='')}")

    async def templates(self) -> list[Template]:
        """List the templates that containers can be created from."""
        return [Template.model_validate(item) for item in await self.transport.items("/templates")]

    async def template_faults(self) -> list[TemplateFault]:
        """List the folders of templates that can't be used, and why."""
        page = await self.transport.get("/templates", limit=1)
        return [TemplateFault.model_validate(fault) for fault in page["faults"]]

    async def installation(self) -> Installation:
        """Return this installation: whether it is paused, and why."""
        return Installation.model_validate(await self.transport.get("/installation"))

    async def audit(self, *, limit: int | None = None) -> list[AuditEntry]:
        """List the newest audit entries."""
        return [AuditEntry.model_validate(item) for item in await self.transport.items("/audit", limit)]


def _body(spec: ContainerSpec, password: str | None) -> Mapping[str, Any]:
    body = spec.model_dump(mode="json", exclude_unset=True)
    return body if password is None else body | {"password": password}
