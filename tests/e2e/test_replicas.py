"""Two provisioners: they share the work, either may die or sleep, and what is cancelled is gone."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
from chaos.host import Host
from chaos.processes import Processes

from support.job_logs import begun_after_their_end, numbers
from support.lab import guests_named
from support.stack import RunningStack, create, job_events
from support.waiting import processes_of, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
WORKERS = ("provisioner", "replica")
TAKEOVER_SECONDS = 60.0
PULL_SECONDS = 10.0
"""Longer than a request of a worker for work stands on the bus (`pull_timeout`)."""
SIZE = 4
AN_HOUR = "3593"


@pytest.fixture
async def workers(stack: RunningStack) -> AsyncIterator[Processes]:
    """A second provisioner beside the one of `up`, killed at the end."""
    processes = Processes(stack)
    for name in WORKERS:
        processes.log(name).touch()
    await processes.start_replica()
    yield processes
    processes.end_replica()


@pytest.fixture
async def host(stack: RunningStack) -> AsyncIterator[Host]:
    """The lab, looked at from outside."""
    made = Host(stack.data)
    yield made
    await made.aclose()


def log_count(processes: Processes, name: str, text: str, job: str) -> int:
    """Count the lines of a worker's log that have a text and name a job."""
    lines = processes.log(name).read_text(errors="replace").splitlines()
    return sum(text in line and job in line for line in lines)


def owners(processes: Processes, job: str) -> set[str]:
    """Return the workers that have ever claimed a job."""
    return {name for name in WORKERS if log_count(processes, name, "run claimed", job)}


async def until_claimed(processes: Processes, jobs: list[str], name: str) -> None:
    """Wait until a worker has claimed one of the jobs."""
    await until(
        lambda: any(log_count(processes, name, "run claimed", job) for job in jobs),
        within_seconds=TAKEOVER_SECONDS,
    )


async def printing(api: httpx.AsyncClient, job: str, text: str) -> None:
    """Wait until a job's script has printed something."""
    async with api.stream("GET", f"/api/v1/jobs/{job}/events") as answer:
        async for line in answer.aiter_lines():
            if text in line:
                return


async def test_shared_and_either_killed(
    stack: RunningStack, api: httpx.AsyncClient, workers: Processes
) -> None:
    """Jobs of one batch are in the hands of either; one is killed in their middle, then the other."""
    name = f"two{secrets.token_hex(2)}"
    first = await workers.pid("provisioner")
    os.kill(first, signal.SIGSTOP)  # so that the replica begins
    try:
        await asyncio.sleep(PULL_SECONDS)
        body = {"hostname": name, "template": "counting", "count": SIZE}
        asked = await api.post("/api/v1/containers", json=body)
        assert asked.status_code == httpx.codes.ACCEPTED, asked.text
        batch = asked.json()["job"]["id"]
        items = (await api.get("/api/v1/jobs", params={"parent": batch})).json()["items"]
        jobs = [each["id"] for each in items]
        await until_claimed(workers, jobs, "replica")
    finally:
        os.kill(first, signal.SIGCONT)
    assert len(jobs) == SIZE
    orphans = [job for job in jobs if owners(workers, job) == {"replica"}]
    await workers.kill("replica")
    await until_claimed(workers, orphans, "provisioner")
    await workers.start_replica()
    await workers.kill("provisioner")
    whole = await job_events(api, batch)

    assert whole[-1].content["state"] == "succeeded", whole[-1].text
    for job in jobs:
        events = await job_events(api, job)
        assert numbers(events) == list(range(1, 2001))
        assert begun_after_their_end(events) == []
    for number in range(1, SIZE + 1):
        assert await guests_named(stack.endpoints["lab"], f"{name}-{number}") == 1


async def test_sleeper_is_refused_on_waking(api: httpx.AsyncClient, workers: Processes, host: Host) -> None:
    """A worker stopped until the other has its job: its late result is refused, nothing ran twice."""
    accepted = await create(api, template="counting", hostname=f"wakes-{secrets.token_hex(2)}")
    job, vmid = accepted["job"]["id"], accepted["container"]["vmid"]
    await asyncio.wait_for(printing(api, job, "number 300"), TAKEOVER_SECONDS)
    (asleep,) = owners(workers, job)
    (other,) = set(WORKERS) - {asleep}
    pid = await workers.pid(asleep)

    os.kill(pid, signal.SIGSTOP)
    try:
        await until_claimed(workers, [job], other)
    finally:
        os.kill(pid, signal.SIGCONT)
    events = await job_events(api, job)

    await until(
        lambda: log_count(workers, asleep, "run.claim-lost", job) == 1, within_seconds=TAKEOVER_SECONDS
    )
    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert numbers(events) == list(range(1, 2001))
    assert begun_after_their_end(events) == []
    tasks = [each["type"] for each in await host.tasks() if each["id"] == str(vmid)]
    assert (tasks.count("vzcreate"), tasks.count("vzstart")) == (1, 1)


async def test_cancelled_hour(api: httpx.AsyncClient) -> None:
    """A script that sleeps for an hour ends when it is cancelled, and so does its process in the guest."""
    accepted = await create(
        api,
        template="sleeping",
        hostname=f"hour-{secrets.token_hex(2)}",
        variables={"seconds": AN_HOUR},
    )
    job = accepted["job"]["id"]
    await asyncio.wait_for(printing(api, job, "it sleeps now"), TAKEOVER_SECONDS)
    await until(lambda: bool(processes_of("sleep", AN_HOUR)))

    answer = await api.post(f"/api/v1/jobs/{job}/cancel")
    events = await job_events(api, job)

    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    assert events[-1].content["state"] == "cancelled", events[-1].text
    await until(lambda: not processes_of("sleep", AN_HOUR))
