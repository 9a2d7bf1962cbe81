"""What a viewer sees: everything once and in order, however often the stream is cut."""

import asyncio
import json
import random
from collections.abc import Callable

import httpx
import pytest
from nats.aio.client import Client

from slipway.contracts.clusters import ClusterAdded
from slipway.contracts.job_events import JobLog, LogLine
from slipway.contracts.values import JobState
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.job_logs import StoredEvent
from slipway.runtime.bus.stored import read_all
from slipway.runtime.process.service import Service
from slipway.runtime.topology.declared import EVENTS
from support.gateway_side import Others
from support.nats import MakeBus
from support.viewing import ACCEPTED, DONE, JOB, PHASE, Viewer, line, publish_all
from support.waiting import until

LOG = "/api/v1/jobs/job-1/log"


def break_off(bus: Bus) -> None:
    """Break a bus's connection; it is made again."""
    close: Callable[[], None] = getattr(bus.connection._transport, "close")  # noqa: B009 - nats-py's is untyped
    close()


async def test_cut_ten_times_a_viewer_sees_what_an_uninterrupted_one_sees(
    gateway: Service, user: httpx.AsyncClient, make_bus: MakeBus
) -> None:
    """Resumed with Last-Event-ID, nothing is lost and nothing comes twice, also from other jobs' noise."""
    provisioner = await make_bus("provisioner")
    whole, cut = Viewer(user), Viewer(user)
    watching = asyncio.create_task(whole.read())
    noise = [event.model_copy(update={"id": "job-9"}) for event in (PHASE, line(1))]

    async def be_cut() -> None:
        for _ in range(10):
            await cut.read(most=random.randint(1, 25))
        while not await cut.read():
            pass

    cutting = asyncio.create_task(be_cut())
    await publish_all(provisioner, ACCEPTED, PHASE)
    for number in range(300):
        await publish_all(provisioner, line(number), *(noise if number % 3 == 0 else ()))
    await publish_all(provisioner, DONE)
    await asyncio.wait_for(asyncio.gather(watching, cutting), 20)

    assert cut.seen == whole.seen
    assert [event.name for event in whole.seen] == ["accepted", "phase", *["log"] * 300, "done"]
    assert [json.loads(event.data)["offset"] for event in whole.seen[2:-1]] == list(range(300))


async def test_ended_job_log_is_sent_once_more_but_not_twice(
    user: httpx.AsyncClient, others: Others, make_bus: MakeBus
) -> None:
    """Who comes late gets everything; who comes again after `done` gets 204 and stays away."""
    await publish_all(await make_bus("provisioner"), ACCEPTED, *(line(number) for number in range(200)), DONE)
    others.states["job-1"] = JobState.SUCCEEDED
    late = Viewer(user)

    assert await late.read()
    again = await user.get(JOB, headers={"Last-Event-ID": late.last_id})

    assert len(late.seen) == 202
    assert again.status_code == httpx.codes.NO_CONTENT


@pytest.mark.parametrize("unknown", ["0", "999999"])
async def test_unknown_id_resets_the_job_log(
    user: httpx.AsyncClient, make_bus: MakeBus, unknown: str
) -> None:
    """An id before the first or after the last event yields `reset`, then the job log from its start."""
    await publish_all(await make_bus("provisioner"), ACCEPTED, PHASE, DONE)
    viewer = Viewer(user, f"{JOB}?last_event_id={unknown}")

    assert await viewer.read()

    assert [event.name for event in viewer.seen] == ["reset", "accepted", "phase", "done"]


async def test_missed_messages_are_read_from_the_stream(
    gateway: Service, user: httpx.AsyncClient, make_bus: MakeBus, others: Others
) -> None:
    """After the gateway's connection broke, what was stored meanwhile comes all the same, in order."""
    provisioner = await make_bus("provisioner")
    viewer = Viewer(user)
    watching = asyncio.create_task(viewer.read())
    await publish_all(provisioner, ACCEPTED, line(0))

    for number in range(1, 40):
        if number % 10 == 0:
            break_off(gateway.bus)
        await publish_all(provisioner, line(number))
    await publish_all(provisioner, DONE)
    await asyncio.wait_for(watching, 20)

    offsets = [json.loads(event.data)["offset"] for event in viewer.seen if event.name == "log"]
    assert offsets == list(range(40))


async def test_fleet_sees_everything_but_log_lines(user: httpx.AsyncClient, make_bus: MakeBus) -> None:
    """All events since it looks; cut off before it saw any, it misses none."""
    inventory = await make_bus("inventory")
    viewer = Viewer(user, "/api/v1/events")
    reading = asyncio.create_task(viewer.read())
    await until(lambda: viewer.comments > 0 and viewer.last_id != "")
    reading.cancel()
    await asyncio.wait([reading])
    await publish_all(inventory, ClusterAdded(id="cl-1", name="lab"), ACCEPTED, line(1), PHASE)

    await asyncio.wait_for(viewer.read(most=3), 10)

    assert [event.name for event in viewer.seen] == ["added", "accepted", "phase"]


async def test_stream_ends_when_the_gateway_stops(gateway: Service, user: httpx.AsyncClient) -> None:
    """Viewers are let go at once, with a proper end."""
    viewer = Viewer(user)
    watching = asyncio.create_task(viewer.read())
    await until(lambda: viewer.comments > 0)

    gateway.stopping.set()

    assert await asyncio.wait_for(watching, 3)


async def test_log_is_returned_whole(user: httpx.AsyncClient, make_bus: MakeBus) -> None:
    """Lines in their order as text; the parts of a long one are joined."""
    parts = [
        LogLine(stream="stdout", text="lo", more=True),
        LogLine(stream="stderr", text="between"),
        LogLine(stream="stdout", text="ng"),
    ]
    first = JobLog(id="job-1", step="sync.script.0", lines=tuple(parts[:2]), offset=1)
    second = JobLog(id="job-1", step="sync.script.0", lines=tuple(parts[2:]), offset=2)
    await publish_all(await make_bus("provisioner"), first, second)

    answer = await user.get("/api/v1/jobs/job-1/log")

    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "between\nlong\n"


async def test_a_stored_job_log_is_sent_when_the_bus_has_forgotten(
    user: httpx.AsyncClient, others: Others, make_bus: MakeBus, admin: Client
) -> None:
    """Events, ids and log are the same as before; it resumes from any of them, and 204 follows the last."""
    events = (ACCEPTED, *(line(number) for number in range(9)), PHASE, DONE)
    await publish_all(await make_bus("provisioner"), *events)
    others.states["job-1"] = JobState.SUCCEEDED
    before, log_before = Viewer(user), (await user.get(LOG)).text
    await before.read()
    stored = await read_all(admin, EVENTS, subject="slipway.v1.event.job.job-1.>")
    others.stored["job-1"] = [StoredEvent(each.sequence, each.subject, each.payload) for each in stored]
    await admin.jetstream().purge_stream(EVENTS, subject="slipway.v1.event.job.job-1.>")

    late, resumed, lost = Viewer(user), Viewer(user), Viewer(user, f"{JOB}?last_event_id=999999")
    resumed.last_id = before.seen[4].id
    ended = [await viewer.read() for viewer in (late, resumed, lost)]
    again = await user.get(JOB, headers={"Last-Event-ID": late.last_id})

    assert ended == [True, True, True]
    assert late.seen == before.seen
    assert resumed.seen == before.seen[5:]
    assert [event.name for event in lost.seen[:2]] == ["reset", "accepted"]
    assert lost.seen[1:] == before.seen
    assert again.status_code == httpx.codes.NO_CONTENT
    assert (await user.get(LOG)).text == log_before != ""


async def test_readiness_is_of_now_although_nobody_watches(user: httpx.AsyncClient, others: Others) -> None:
    """Whoever asks is told soon what is away, and that it is back; the next look for the log is far."""

    async def names(*parts: str) -> bool:
        return sorted((await user.get("/readyz")).json()["degraded"]) == sorted(parts)

    others.missing["postgres"] = "does not answer in time"
    are_named = await until(lambda: names("catalog", "inventory", "monitor", "provisioner"), within_seconds=5)
    others.missing.clear()
    are_back = await until(names, within_seconds=5)

    assert are_named
    assert are_back


async def test_a_part_that_lacks_something_is_reported_to_viewers(
    user: httpx.AsyncClient, others: Others
) -> None:
    """Also to who comes later; once it is back nothing is away. No id goes with it."""
    early, late = Viewer(user, "/api/v1/events"), Viewer(user, "/api/v1/events")
    watching = asyncio.create_task(early.read())
    await until(lambda: early.comments > 0)

    others.missing["postgres"] = "does not answer in time"
    await until(lambda: len(early.outages) == 1)
    last_id = early.last_id
    watching_late = asyncio.create_task(late.read())
    await until(lambda: late.outages != [])
    ready = (await user.get("/readyz")).json()
    others.missing.clear()
    await until(lambda: len(early.outages) == 2)
    watching.cancel()
    watching_late.cancel()
    await asyncio.wait([watching, watching_late])

    outages = [json.loads(data)["parts"] for data in early.outages]
    assert json.loads(late.outages[0])["parts"] == outages[0]
    assert sorted(outages[0]) == ["catalog", "inventory", "monitor", "provisioner"]
    assert outages[0]["inventory"]["message"] == "postgres: does not answer in time"
    assert (outages[1], early.seen, early.last_id) == ({}, [], last_id)
    assert (ready["status"], sorted(ready["degraded"])) == ("degraded", sorted(outages[0]))
