"""When a stream ends: not before `done`, and for certain once its viewer may not look or does not read."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig, StreamSource

from slipway.contracts.job_events import JobLog, LogLine
from slipway.contracts.values import JobState
from slipway.runtime.process.metrics import REGISTRY
from slipway.runtime.process.service import Service
from slipway.runtime.topology.declared import EVENTS, LIVE_PREFIX
from support.gateway_side import MOST_VIEWERS, TOKEN, Others
from support.nats import MakeBus
from support.viewing import ACCEPTED, DONE, JOB, PHASE, Viewer, line, publish_all
from support.waiting import until

ESTABLISHED = "01"


def viewers() -> float:
    """Return how many streams are open."""
    return REGISTRY.get_sample_value("slipway_gateway_viewers") or 0


def states_at(port: int) -> list[str]:
    """Return the states of the kernel's connections to a port of this machine, seen from its server."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[3] for row in rows if row[1].endswith(f":{port:04X}")]


@pytest.fixture
def deaf(gateway: Service) -> Iterator[socket.socket]:
    """Somebody who asks for a stream and never reads."""
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", gateway.port))
        connection.sendall(f"GET {JOB} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        yield connection


async def test_stream_of_a_job_that_has_just_ended_waits_for_done(
    user: httpx.AsyncClient, others: Others, make_bus: MakeBus
) -> None:
    """Its row says so before its `done` is on the bus: neither 204 nor an end without `done`."""
    others.states["job-1"], others.ended_at = JobState.FAILED, datetime.now(UTC)
    viewer = Viewer(user)
    watching = asyncio.create_task(viewer.read())
    await until(lambda: viewer.comments > 0)

    await publish_all(await make_bus("inventory"), ACCEPTED)
    await publish_all(await make_bus("provisioner"), DONE)

    assert await asyncio.wait_for(watching, 10)
    assert [event.name for event in viewer.seen] == ["accepted", "done"]


async def test_done_that_never_came_is_not_waited_for(
    user: httpx.AsyncClient, others: Others, make_bus: MakeBus
) -> None:
    """A minute after a job's end its job log is over as it is; who has seen it gets 204."""
    await publish_all(await make_bus("provisioner"), PHASE)
    others.states["job-1"], others.ended_at = JobState.FAILED, datetime.now(UTC) - timedelta(minutes=2)
    viewer = Viewer(user)

    assert await asyncio.wait_for(viewer.read(), 10)
    again = await user.get(JOB, headers={"Last-Event-ID": viewer.last_id})

    assert [event.name for event in viewer.seen] == ["phase"]
    assert again.status_code == httpx.codes.NO_CONTENT


async def test_viewer_that_never_reads_is_cut_off(
    gateway: Service, deaf: socket.socket, make_bus: MakeBus
) -> None:
    """Once too much waits its connection is closed for real, also with a full buffer."""
    provisioner = await make_bus("provisioner")
    await until(lambda: viewers() == 1)
    text = LogLine(stream="stdout", text="x" * 60_000)
    for number in range(320):
        await publish_all(provisioner, JobLog(id="job-1", step="s", lines=(text,), offset=number))

    await until(lambda: viewers() == 0)

    assert deaf.fileno() != -1
    await until(lambda: ESTABLISHED not in states_at(gateway.port))


async def test_stream_ends_with_the_session(anyone: httpx.AsyncClient) -> None:
    """Who signs out on one page sees nothing more on another; the answer to coming again is 401."""
    await anyone.post("/api/v1/session", json={"secret": TOKEN})
    viewer = Viewer(anyone)
    watching = asyncio.create_task(viewer.read())
    await until(lambda: viewer.comments > 0)

    await anyone.delete("/api/v1/session", headers={"X-Slipway-Request": "1"})

    assert await asyncio.wait_for(watching, 10)
    assert (await anyone.get(JOB)).status_code == httpx.codes.UNAUTHORIZED


async def test_one_stream_too_many_is_asked_to_come_again(user: httpx.AsyncClient) -> None:
    """A gateway has so many streams at most; a place is free as soon as one goes."""
    async with AsyncExitStack() as open_streams:
        for _ in range(MOST_VIEWERS):
            answer = await open_streams.enter_async_context(user.stream("GET", JOB))
            assert answer.status_code == httpx.codes.OK
        refused = await user.get(JOB)
    await until(lambda: viewers() == 0)

    assert (refused.status_code, refused.json()["code"]) == (503, "events.too-many-viewers")
    assert "retry-after" in refused.headers
    async with user.stream("GET", JOB) as later:
        assert later.status_code == httpx.codes.OK


async def test_replica_that_lags_shortens_no_job_log(
    user: httpx.AsyncClient, make_bus: MakeBus, admin: Client
) -> None:
    """Where a page comes from a replica without the newest, the rest is read from the leader."""
    accepted = StreamSource(name=EVENTS, filter_subject=ACCEPTED.subject_of())
    await admin.jetstream().add_stream(StreamConfig(name="LAGGING", mirror=accepted, mirror_direct=True))
    provisioner = await make_bus("provisioner")
    await publish_all(provisioner, ACCEPTED, *(line(number) for number in range(5)), DONE)
    for _ in range(11):
        # So many that the relay remembers none of the job.
        await publish_all(provisioner, *[PHASE.model_copy(update={"id": "job-9"})] * 100)

    late = [Viewer(user) for _ in range(10)]
    for viewer in late:
        assert await asyncio.wait_for(viewer.read(), 10)

    for viewer in late:
        assert [event.name for event in viewer.seen] == ["accepted", *["log"] * 5, "done"]


async def test_hole_that_nobody_can_fill_ends_the_streams(
    user: httpx.AsyncClient, make_bus: MakeBus, admin: Client
) -> None:
    """Nothing newer is passed on after what is lost: the viewers come again and learn of it."""
    await publish_all(await make_bus("provisioner"), PHASE)
    viewer = Viewer(user)
    watching = asyncio.create_task(viewer.read())
    await until(lambda: len(viewer.seen) == 1)

    headers = {"Nats-Sequence": "3", "Nats-Subject": DONE.subject_of()}
    payload = DONE.model_dump_json().encode()
    await admin.publish(f"{LIVE_PREFIX}{DONE.subject_of()}", payload, headers=headers)

    assert await asyncio.wait_for(watching, 20)
    assert [event.name for event in viewer.seen] == ["phase"]
