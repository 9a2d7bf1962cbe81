"""What long runs have found, each in its shortest form: faults in a fixed order, one job each."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from chaos import checks, hard
from chaos.host import Host
from chaos.processes import Processes
from chaos.run import copy_templates

from slipway.client.sse import ServerEvent
from slipway.lab import faults
from support.job_logs import numbers
from support.stack import RunningStack, create, job_events, running_stack, stack_folder

JOB_SECONDS = 60.0


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """One stack for all tests here."""
    with stack_folder() as data:
        environment = copy_templates(data.parent / "lxc") | hard.SMALL_DISK
        with running_stack("--lab", "--guests", "simulated", data=data, **environment) as running:
            yield running


@pytest.fixture
async def api(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the first user's rights."""
    async with stack.client() as client:
        yield client


@pytest.fixture
async def host(stack: RunningStack) -> AsyncIterator[Host]:
    """The lab, without orders that a former test has left."""
    made = Host(stack.data)
    await made.clear()
    yield made
    await made.clear()
    await made.aclose()


async def created(api: httpx.AsyncClient, name: str) -> list[ServerEvent]:
    """Create a container and follow the job to its end."""
    accepted = await create(api, template="debian-base", hostname=name)
    return await asyncio.wait_for(job_events(api, accepted["job"]["id"]), JOB_SECONDS)


async def named(host: Host, name: str) -> list[int]:
    """Return the VMIDs of the containers of a name, and of what killed creations left."""
    guests = await host.containers()
    return [int(each["vmid"]) for each in guests if each["name"] == name or each["lock"] == "create"]


@pytest.mark.slow
async def test_killed_creation_leaves_nothing(api: httpx.AsyncClient, host: Host) -> None:
    """Its remainder is known as ours, cleared away, the VMID is used again, the new task's log is whole."""
    name = f"killed-{secrets.token_hex(2)}"
    await host.order(faults.WorkerKilled(task="vzcreate"))

    events = await created(api, name)

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert await named(host, name) == [events[-1].content["vmid"]]
    assert not any(event.content.get("vmid") for event in events if event.kind == "progress")
    cleared = next(at for at, event in enumerate(events) if "Clearing away" in event.text)
    assert "extracting archive" in "".join(event.text for event in events[cleared:] if event.kind == "log")


@pytest.mark.slow
async def test_lost_answer_while_the_task_runs(api: httpx.AsyncClient, host: Host) -> None:
    """The job looks before it asks again, finds its task under way and waits for it."""
    name = f"lost-{secrets.token_hex(2)}"
    await host.order(faults.TaskHangs(task="vzcreate", seconds=4.0))
    await host.order(faults.LostAnswer(method="POST", path="/nodes/*/lxc"))

    events = await created(api, name)

    assert events[-1].content["state"] == "succeeded", events[-1].text
    vmid = events[-1].content["vmid"]
    assert await named(host, name) == [vmid]
    asked = [task for task in await host.tasks() if (task["id"], task["type"]) == (str(vmid), "vzcreate")]
    assert [task["status"] for task in asked] == ["OK"]


@pytest.mark.slow
async def test_vmid_taken_after_the_node_was_away(api: httpx.AsyncClient, host: Host) -> None:
    """A VMID that Slipway chose stays provisional while the node can't be reached, and is replaced."""
    name = f"taken-{secrets.token_hex(2)}"
    await host.order(faults.ApiError(method="POST", path="/nodes/*/lxc", status=595, times=2))
    await host.order(faults.VmidTaken())

    events = await created(api, name)

    assert events[-1].content["state"] == "succeeded", events[-1].text
    taken = await host.foreigners()
    assert len(taken) == 1
    assert events[-1].content["vmid"] not in taken
    assert await named(host, name) == [events[-1].content["vmid"]]


@pytest.mark.slow
async def test_retry_of_a_restart(api: httpx.AsyncClient, host: Host) -> None:
    """A failed job on a container that lives can be done again, as its actions say."""
    events = await created(api, f"again-{secrets.token_hex(2)}")
    done = events[-1].content
    await host.order(faults.ApiError(method="POST", path=f"/nodes/*/lxc/{done['vmid']}/status/reboot"))
    asked = await api.post(f"/api/v1/containers/{done['container']}/restart")
    failed = await asyncio.wait_for(job_events(api, asked.json()["job"]["id"]), JOB_SECONDS)
    assert failed[-1].content["state"] == "failed", failed[-1].text

    again = await api.post(f"/api/v1/jobs/{asked.json()['job']['id']}/retry")

    assert again.status_code == httpx.codes.ACCEPTED, again.text
    events = await asyncio.wait_for(job_events(api, again.json()["job"]["id"]), JOB_SECONDS)
    assert events[-1].content["state"] == "succeeded", events[-1].text


@pytest.mark.slow
async def test_last_lines_while_the_bus_stands_still(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """A script that ends while a message with its lines is on its way loses none of the lines after them."""
    accepted = await create(api, template="counting", hostname=f"lines-{secrets.token_hex(2)}")
    job = accepted["job"]["id"]
    await asyncio.wait_for(_printed(api, job, "number 1500"), JOB_SECONDS)
    await hard.hold_messages(Processes(stack))

    events = await asyncio.wait_for(job_events(api, job), JOB_SECONDS)

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert numbers(events) == list(range(1, 2001))


@pytest.mark.slow
async def test_full_disk_of_the_bus(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """What is asked for while the bus can store nothing is accepted, waits, and is done when it can."""
    async with hard.full_disk(stack) as why:
        accepted = await create(api, template="debian-base", hostname=f"full-{secrets.token_hex(2)}")
        waiting = (await api.get(f"/api/v1/jobs/{accepted['job']['id']}")).json()

    events = await asyncio.wait_for(job_events(api, accepted["job"]["id"]), JOB_SECONDS)

    assert "insufficient resources" in why
    assert waiting["state"] == "queued"
    assert events[-1].content["state"] == "succeeded", events[-1].text


@pytest.mark.slow
async def test_late_answers_of_the_bus(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """A commit whose answer comes after our timeout, stored after we looked, is reported once."""
    names = [f"late-{secrets.token_hex(2)}" for _ in range(4)]
    accepted = [await create(api, template="debian-base", hostname=name) for name in names]
    await hard.hold_messages(Processes(stack))

    job_logs = [await asyncio.wait_for(job_events(api, each["job"]["id"]), JOB_SECONDS) for each in accepted]

    for events in job_logs:
        steps = [each.content for each in events if each.kind == "step"]
        ended = [each["step"] for each in steps if each["status"] in checks.ENDED]
        assert events[-1].content["state"] == "succeeded", events[-1].text
        assert len(ended) == len(set(ended)), ended


async def _printed(api: httpx.AsyncClient, job: str, text: str) -> None:
    """Wait until a job's log has a text."""
    async with api.stream("GET", f"/api/v1/jobs/{job}/events") as answer:
        async for line in answer.aiter_lines():
            if text in line:
                return
