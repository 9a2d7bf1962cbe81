"""Events that are written to a viewer's connection at once, beside those that wait for its task."""

import asyncio
import itertools
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from typing import cast

import httpx
import pytest
import uvloop
from uvicorn.protocols.http.flow_control import FlowControl

from slipway.contracts.job_events import JobLog, LogLine
from slipway.gateway.streams.viewer import MOST_WAITING, Item, Viewer
from slipway.runtime.process.chunks import ChunkWriter, chunk
from slipway.runtime.process.service import Service
from support.gateway_side import TOKEN
from support.nats import MakeBus
from support.viewing import DONE, JOB, line, publish_all
from support.viewing import Viewer as Reader
from support.waiting import until

MOST_HELD = 64 * 1024
"""What a transport of asyncio or uvloop lets wait before it says that it is full."""
SUBJECT = "slipway.v1.event.job.j."
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """A server's end of a connection, with the flow control of the gateway's HTTP server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # uvloop's is none of asyncio's classes.
        self.transport = cast("asyncio.Transport", transport)
        self.flow = FlowControl(self.transport)

    def pause_writing(self) -> None:
        """Note that it is full."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Note that it has room."""
        self.flow.resume_writing()


class Ends:
    """Both ends of a connection, and a viewer of a job at one of them."""

    def __init__(self, connection: Connection, client: socket.socket) -> None:
        self.connection = connection
        self.client = client
        self.viewer = Viewer("j", ChunkWriter(connection.transport, connection.flow))
        self._numbers = itertools.count(1)

    def put(self, *, name: str = "log", size: int = 10) -> Item:
        """Give the viewer an event."""
        item = Item.of(next(self._numbers), SUBJECT + name, b"x" * size)
        self.viewer.put(item, chunk(item.frame))
        return item

    async def received(self) -> list[int]:
        """Return the ids of the events that came."""
        await asyncio.sleep(0)
        with suppress(BlockingIOError):
            return [int(number) for number in re.findall(rb"id: (\d+)\n", self.client.recv(2**20))]
        return []


async def open_ends() -> Ends:
    """Connect both."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    theirs.settimeout(0)
    _, connection = await asyncio.get_running_loop().create_connection(Connection, sock=ours)
    return Ends(connection, theirs)


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """A connection."""
    both = await open_ends()
    yield both
    both.connection.transport.abort()
    both.client.close()


async def test_while_the_task_waits_events_are_written_at_once(ends: Ends) -> None:
    """The task is not woken for them; it gets the one that ends the stream, and sends it itself."""
    taking = asyncio.create_task(ends.viewer.take(within_seconds=5))
    await asyncio.sleep(0)

    ends.put(name="phase")
    ends.put()
    written = await ends.received()
    done = ends.put(name="done")

    assert written == [1, 2]
    assert await taking == [done]
    assert await ends.received() == []


async def test_events_of_a_burst_are_gathered_for_the_task(ends: Ends) -> None:
    """A write for each event and viewer would keep the gateway from all else."""
    taking = asyncio.create_task(ends.viewer.take(within_seconds=5))
    await asyncio.sleep(0)

    burst = [Item.of(number, SUBJECT + "log", b"{}") for number in range(1, 5)]
    for each in burst:
        ends.viewer.put(each, None)

    assert await taking == burst
    assert await ends.received() == []


async def test_nothing_overtakes_what_the_task_is_sending(ends: Ends) -> None:
    """From the first event that waits until the task waits again, all wait."""
    before = ends.put()
    assert await ends.viewer.take(within_seconds=5) == [before]

    while_sending = [ends.put(), ends.put()]
    written = await ends.received()

    assert written == []
    assert await ends.viewer.take(within_seconds=5) == while_sending


async def test_events_that_the_viewer_has_seen_are_not_written(ends: Ends) -> None:
    """It may come from another gateway that is ahead of this one."""
    ends.viewer.seen = 2
    taking = asyncio.create_task(ends.viewer.take(within_seconds=5))
    await asyncio.sleep(0)

    ends.put()
    ends.put()
    third = ends.put()

    assert await taking == [third]
    assert await ends.received() == []


async def test_nothing_is_written_once_the_task_is_ended(ends: Ends) -> None:
    """The end of the answer is its own matter."""
    taking = asyncio.create_task(ends.viewer.take(within_seconds=5))
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait({taking})

    ends.put()

    assert await ends.received() == []


async def test_connection_that_is_full_holds_no_more(ends: Ends) -> None:
    """What it does not take waits for the task in its bounds, and then the viewer is dropped."""
    taking = asyncio.create_task(ends.viewer.take(within_seconds=5))
    await asyncio.sleep(0)

    for _ in range(MOST_WAITING + 100):
        ends.put(size=30_000)
        await asyncio.sleep(0)

    waiting = await taking
    assert ends.viewer.dropped.is_set()
    assert ends.connection.transport.get_write_buffer_size() <= MOST_HELD + 31_000
    assert [each.sequence for each in waiting] == list(range(waiting[0].sequence, waiting[-1].sequence + 1))


@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize("end", ["abort", "close", "reset"])
def test_connection_that_goes_raises_nothing(
    make_loop: Callable[[], asyncio.AbstractEventLoop], end: str
) -> None:
    """Whoever ends it, and however late that is seen: the event waits, and its own task notices."""

    async def go() -> bool:
        ends = await open_ends()
        taking = asyncio.create_task(ends.viewer.take(within_seconds=5))
        await asyncio.sleep(0)
        if end == "reset":
            ends.client.close()
        else:
            getattr(ends.connection.transport, end)()
        for _ in range(20):
            ends.put()
            await asyncio.sleep(0)
        return bool(await taking)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(go())


async def test_viewer_that_breaks_off_costs_no_other_an_event(
    gateway: Service, user: httpx.AsyncClient, make_bus: MakeBus
) -> None:
    """Also where its connection is reset while an event is written to it."""
    provisioner = await make_bus("provisioner")
    watching = [Reader(user) for _ in range(2)]
    reading = [asyncio.create_task(each.read()) for each in watching]
    await until(lambda: all(each.comments > 0 for each in watching))

    for number in range(30):
        if number % 5 == 0:
            with closing(await _stream(gateway.port)) as breaking:
                breaking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        await publish_all(provisioner, line(number))
    await publish_all(provisioner, DONE)
    await asyncio.wait_for(asyncio.gather(*reading), 20)

    for each in watching:
        assert [event.name for event in each.seen] == ["log"] * 30 + ["done"]


async def test_viewer_that_now_reads_and_now_does_not_gets_all_in_order(
    gateway: Service, make_bus: MakeBus
) -> None:
    """Its events are written at once, wait, and are written at once again."""
    provisioner = await make_bus("provisioner")
    got = b""
    loop = asyncio.get_running_loop()
    text = LogLine(stream="stdout", text="x" * 50_000)
    with closing(await _stream(gateway.port)) as stream:
        for burst in range(6):
            for number in range(20):
                lines = () if number % 2 else (text,)
                message = JobLog(id="job-1", step="s", lines=lines, offset=burst * 20 + number)
                await publish_all(provisioner, message)
            while f'"offset":{burst * 20 + 19},'.encode() not in got.replace(b"}", b","):
                got += await asyncio.wait_for(loop.sock_recv(stream, 2**16), 10)

    assert [int(offset) for offset in re.findall(rb'"offset":(\d+)', got)] == list(range(120))


async def test_viewer_behind_an_old_proxy_gets_its_events(gateway: Service, make_bus: MakeBus) -> None:
    """HTTP/1.0 has no chunks; its events go the usual way."""
    provisioner = await make_bus("provisioner")
    got = b""
    loop = asyncio.get_running_loop()
    with closing(await _stream(gateway.port, version="1.0")) as stream:
        await publish_all(provisioner, line(0), line(1), DONE)
        while more := await asyncio.wait_for(loop.sock_recv(stream, 2**16), 10):
            got += more

    assert re.findall(rb"event: (\w+)", got) == [b"log", b"log", b"done"]


async def _stream(port: int, *, version: str = "1.1") -> socket.socket:
    """Ask for the stream of a job, and return once it is live."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.settimeout(0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    head = f"GET {JOB} HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    await loop.sock_sendall(connection, head.encode())
    got = b""
    while b": alive" not in got:
        got += await asyncio.wait_for(loop.sock_recv(connection, 4096), 10)
    return connection
