"""People who ask: each leads one life, follows every job of it, and retries what faults excuse."""

import asyncio
import random
import time
import uuid
from typing import Any

import httpx
from chaos.lives import OPS, SAME, Assignment, Op
from chaos.model import Container, Job, Model
from chaos.viewer import Viewer

ASK_SECONDS = 90.0
"""How long one request is tried again: through restarts, and until inventory has seen a job's end."""
JOB_SECONDS = 240.0
MOST_RETRIES = 4
PAST_SECONDS = 30.0
_PAUSE_SECONDS = 0.4


class Person:
    """Leads a life."""

    def __init__(self, client: httpx.AsyncClient, model: Model, assignment: Assignment) -> None:
        self._client = client
        self._model = model
        self._assignment = assignment
        self._container: Container | None = None
        self._last: Job | None = None

    async def live(self) -> None:
        """Ask for one thing after the other; a violation ends this life."""
        for name in self._assignment.ops:
            if not await self._do(OPS[name]):
                return

    async def _do(self, op: Op) -> bool:
        job = await self._ask(op)
        tries = 0
        while job is not None:
            await self._follow(job)
            if job.is_as_it_must_be:
                self._settle(op, job)
                return True
            excuses = self._model.excuses(job)
            if not excuses or tries == MOST_RETRIES:
                self._unsettle()
                summary = f"job {job.id} ({job.kind} of {self._assignment.hostname}): {job.state} {job.code}"
                self._model.violate(f"{summary}, but must be {job.must}; excuses: {excuses or 'none'}")
                return False
            tries += 1
            await self._until_past(job)
            job = await self._ask(OPS["retry"], must=op.must)
        return False

    async def _until_past(self, job: Job) -> None:
        """Wait until the faults that hit a job are over: trying again at once would meet them again."""
        ends = time.monotonic() + PAST_SECONDS
        while self._model.is_hit_now(job) and time.monotonic() < ends:  # noqa: ASYNC110 - faults tell no one
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, job: Job) -> None:
        chance = random.Random(self._assignment.chance.random())
        await Viewer(self._client, self._model, job, chance).follow(within_seconds=JOB_SECONDS)

    async def _ask(self, op: Op, *, must: str | None = None) -> Job | None:
        container = self._container.id if self._container else ""
        path = op.path.format(container=container, job=self._last.id if self._last else "")
        content = self._assignment.body() if path == "/containers" else self._filled(op)
        source = self._container_of(op)
        if source is None:
            self._unsettle()
        answer = await self._send(op.method, path, content)
        if answer is None:
            return None
        body = answer.json()
        job = Job(
            id=body["job"]["id"],
            kind=op.kind,
            container=body["container"]["id"],
            vmids={body["container"]["vmid"]} | self._vmids_of(source),
            template=self._assignment.life.template if op.kind == "container.create" else None,
            must=must or op.must,
            retry_of=self._last.id if "{job}" in op.path and self._last else None,
            chooses_vmid=self._assignment.vmid is not None,
        )
        if job.id in self._model.jobs:
            self._model.violate(f"job {job.id} was given twice")
        self._model.jobs[job.id] = self._last = job
        self._container = self._model.containers.setdefault(
            job.container, Container(job.container, self._assignment.hostname)
        )
        return job

    def _filled(self, op: Op) -> dict[str, Any] | None:
        """Return what is sent, with this life's copy and its newest backup."""
        messages = [step.get("message") or "" for _, kind, step in self._all_seen() if kind == "step"]
        volumes = [text for text in messages if "backup/vzdump" in text]
        replacements = {
            "{copy}": f"{self._assignment.hostname}-copy",
            "{backup}": volumes[-1] if volumes else "",
        }
        return {key: replacements.get(str(value), value) for key, value in op.body.items()} or None

    def _all_seen(self) -> list[tuple[int, str, dict[str, Any]]]:
        here = self._container.id if self._container else ""
        return [each for job in self._model.jobs.values() if job.container == here for each in job.seen]

    def _container_of(self, op: Op) -> Container | None:
        """Return what a clone is made of, which stays as it is; None for any other operation."""
        return self._container if op.kind == "container.clone" else None

    def _vmids_of(self, source: Container | None) -> set[int]:
        """Return the VMIDs of a clone's source: a fault there is one of its job too."""
        jobs = self._model.jobs.values() if source else ()
        return {vmid for job in jobs if source and job.container == source.id for vmid in job.vmids}

    async def _send(self, method: str, path: str, content: dict[str, Any] | None) -> httpx.Response | None:
        """Send until there is a 202; the key makes the repetition harmless."""
        headers = {"Idempotency-Key": uuid.UUID(int=self._assignment.chance.getrandbits(128)).hex}
        deadline = time.monotonic() + ASK_SECONDS
        why = ""
        while time.monotonic() < deadline:
            try:
                answer = await self._client.request(method, f"/api/v1{path}", json=content, headers=headers)
                if answer.status_code == httpx.codes.ACCEPTED:
                    return answer
                why = f"{answer.status_code} {answer.text[:300]}"
                if answer.status_code in {400, 401, 403, 404, 405, 422}:
                    break
            except httpx.TransportError as error:
                why = repr(error)
            await asyncio.sleep(_PAUSE_SECONDS)
        self._model.violate(f"{method} {path} ({self._assignment.hostname}) was not accepted: {why}")
        return None

    def _settle(self, op: Op, job: Job) -> None:
        here = self._container
        if here is None:
            return
        here.host_check = "present" if job.must == "failed" else op.leaves
        here.power = here.was = here.was if op.power == SAME else op.power
        here.config.update(op.sets)
        if op.keeps:
            here.stored = dict(here.config)
        if op.returns:
            here.config = {key: here.stored.get(key) for key in here.config}

    def _unsettle(self) -> None:
        if self._container is not None:
            self._container.host_check, self._container.power = "unsure", None
