"""A viewer that hangs up again and again, in the middle of an event too, and resumes with `Last-Event-ID`."""

import asyncio
import random
import time

import httpx
from chaos.model import Job, Model

from slipway.client.sse import read_events

RETRY_SECONDS = 0.3
LONGEST_SIGHT = 20
"""Events of the stream that a viewer reads at most before it hangs up."""


class Viewer:
    """Follows one job to its end, through cuts of its own and those of the faults."""

    def __init__(self, client: httpx.AsyncClient, model: Model, job: Job, chance: random.Random) -> None:
        self._client = client
        self._model = model
        self._job = job
        self._chance = chance

    async def follow(self, *, within_seconds: float) -> None:
        """Read until `done`; what was seen stands in the model."""
        try:
            async with asyncio.timeout(within_seconds):
                while not await self._look():
                    self._job.cuts += 1
                    await asyncio.sleep(self._chance.uniform(0, RETRY_SECONDS))
        except TimeoutError:
            self._model.violate(f"job {self._job.id} ({self._job.kind}): no `done` in {within_seconds:.0f} s")

    async def _look(self) -> bool:
        """Read for a while; whether the job log is at its end."""
        sight = self._chance.randint(1, LONGEST_SIGHT)
        headers = {"Last-Event-ID": str(self._job.seen[-1][0])} if self._job.seen else {}
        path = f"/api/v1/jobs/{self._job.id}/events"
        try:
            async with self._client.stream("GET", path, headers=headers) as answer:
                if answer.status_code == httpx.codes.OK:
                    return await self._read(answer, sight)
                if answer.is_client_error:
                    self._model.violate(f"job {self._job.id}: its stream answered {answer.status_code}")
                    return True
        except httpx.TransportError:
            pass
        return False

    async def _read(self, answer: httpx.Response, sight: int) -> bool:
        number = 0
        async for event in read_events(answer):
            number += 1
            if self._take(event.kind, event.id, event.content):
                return True
            if number >= sight:
                break
        return False

    def _take(self, kind: str, number: str | None, content: dict[str, object]) -> bool:
        if kind == "outage":
            # What is away of Slipway is no part of the job log, and has no id.
            return False
        if kind == "reset":
            self._model.violate(f"job {self._job.id}: a resuming viewer was told to begin anew")
            self._job.seen.clear()
            return False
        self._job.seen.append((int(number or 0), kind, content))
        if kind in {"progress", "done"} and isinstance(content.get("vmid"), int):
            self._job.vmids.add(int(str(content["vmid"])))
        if kind == "done":
            error = content.get("error")
            self._job.code = str(error["code"]) if isinstance(error, dict) else None
            self._job.state = str(content["state"])
            self._job.ended_at = time.time()
        return kind == "done"
