"""Events to 1, 100, 500 and 2,000 viewers of one job, and one event to one viewer.

Beside the gateway stands the usual way in Node (`viewers_peer.mjs`): one subscriber shared by all responses.
For many viewers it gets the very same stored events from the same bus. For one viewer it gets them through a
nats-server that stores nothing, while Slipway's event is on disk before it is passed on. The floor
(`viewers_floor.py`) has no bus: it writes as many bytes to each connection, and does nothing else.

The events are published as the provisioner would, to a job that waits (its node is in maintenance, so that
nothing else happens); the viewers are plain sockets in processes of their own (`viewer_sockets.py`). Gateway
and peer take turns. CPU is what the process used beyond what it uses at rest.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from statistics import median

import nats

from bench import builds
from bench.table import Row, compared, figure, percentile
from slipway.contracts.job_events import JobLog, LogLine
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.settings import ServiceSettings
from slipway.standalone.embedded.nats import EmbeddedNats
from support.folders import open_folder
from support.stack import RunningStack, create

VIEWERS = (1, 100, 500, 2000)
ROUNDS = 2
MOST_EVENTS = 200
"""Of one turn."""
MOST_DELIVERIES = 50_000
"""Of one turn: with many viewers there are fewer events."""
DELIVERIES_PER_SECOND = 10_000
EVENTS_PER_SECOND = 50
"""At most: each event is a write of its own."""
REST_SECONDS = 2.0
PROCESSES = 2
SOCKETS = Path(__file__).with_name("viewer_sockets.py")
PEER = Path(__file__).with_name("viewers_peer.mjs")
FLOOR = Path(__file__).with_name("viewers_floor.py")
PACKAGE = "nats@2.29.3"
MAINTENANCE = "/api/v1/clusters/lab/nodes/lab/maintenance"

Publish = Callable[[str], Awaitable[object]]
"""Publish an event with a text to the job's viewers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One that passes events on: where its streams are, whose CPU counts, how events get to it."""

    url: str
    head: Callable[[], str]
    """Of a request for a stream that begins now."""
    pid: int
    publish: Publish


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of a side yielded."""

    cpu_us: float
    """For one delivery."""
    p50_ms: float
    p99_ms: float


async def measured(stacks: list[builds.Side]) -> list[Row]:
    """Publish events to more and more viewers, then to one whose peer stores nothing."""
    rows = []
    with open_folder("bench") as folder:
        await asyncio.to_thread(_install, folder)
        async with contextlib.AsyncExitStack() as opened:
            gateways = {each.name: await opened.enter_async_context(_waiting_job(each)) for each in stacks}
            ours, job = gateways[stacks[0].name]
            endpoints = stacks[0].stack.endpoints
            subject = f"slipway.live.{JobLog.subject.replace('{id}', job)}"
            sides = {name: gateway for name, (gateway, _) in gateways.items()}
            arguments = (endpoints["nats"], subject, ours.publish, endpoints["nats_nkey_file"])
            with _peer(folder, *arguments) as peer, _floor() as floor:
                peers = {"Node, same events": peer, "uvloop's writes alone": floor}
                for count in VIEWERS:
                    what = f"an event to {count:,} viewer{'s' if count > 1 else ''}"
                    rows += await _compared(what, sides, peers, count)
            async with _plain_bus(folder) as (url, publish):
                with _peer(folder, url, "bench", publish) as peer:
                    what = "a write to one viewer's SSE"
                    rows += await _compared(what, sides, {"Node, nothing stored": peer}, 1)
    return rows


@contextlib.asynccontextmanager
async def _waiting_job(side: builds.Side) -> AsyncIterator[tuple[Side, str]]:
    """Have a job that waits; the gateway with its viewers, and its id."""
    async with side.stack.client() as api, _provisioner(side.stack) as bus:
        await api.put(MAINTENANCE)
        body = {"template": "debian-base", "hostname": f"many-{secrets.token_hex(4)}"}
        job = (await create(api, **body))["job"]["id"]
        yield _gateway(side.stack, bus, job), job
        await api.post(f"/api/v1/jobs/{job}/cancel")
        await api.delete(MAINTENANCE)


async def _compared(
    what: str, gateways: Mapping[str, Side], peers: Mapping[str, Side], count: int
) -> list[Row]:
    """Let all take turns."""
    turns: dict[str, list[Turn]] = {name: [] for name in (*gateways, *peers)}
    for _ in range(ROUNDS):
        for name, side in {**gateways, **peers}.items():
            turns[name].append(await _turn(side, count))

    def row(part: str, unit: str, value: Callable[[Turn], float]) -> Row:
        values = {name: [value(turn) for turn in turns[name]] for name in gateways}
        ours = median(next(iter(values.values())))
        theirs = {name: median(map(value, turns[name])) for name in peers}
        beside = [f"{name}: {figure(one)} {unit}, ratio {ours / one:.2f}" for name, one in theirs.items()]
        return compared(f"{what}, {part}", values, unit, "; ".join(beside))

    return [
        row("CPU of the gateway for a delivery", "µs", attrgetter("cpu_us")),
        row("p50", "ms", attrgetter("p50_ms")),
        row("p99", "ms", attrgetter("p99_ms")),
    ]


async def _turn(side: Side, count: int) -> Turn:
    """Publish to viewers that are attached; wait until each has all."""
    events = min(MOST_EVENTS, MOST_DELIVERIES // count)
    pause = max(1 / EVENTS_PER_SECOND, count / DELIVERIES_PER_SECOND)
    async with _viewers(side, count, events) as processes:
        await asyncio.gather(*map(_answer, processes))
        before_rest, began = _cpu_seconds(side.pid), time.monotonic()
        await asyncio.sleep(REST_SECONDS)
        at_rest = (_cpu_seconds(side.pid) - before_rest) / (time.monotonic() - began)
        used, began = _cpu_seconds(side.pid), time.monotonic()
        for number in range(events):
            await asyncio.sleep(began + number * pause - time.monotonic())
            await side.publish(f"t={time.monotonic_ns()};" + "a line of a usual length " * 4)
        answers = await asyncio.gather(*map(_answer, processes))
        cpu = _cpu_seconds(side.pid) - used - at_rest * (time.monotonic() - began)
    latencies = [each for answer in answers for each in answer]
    return Turn(
        cpu * 1e6 / len(latencies), percentile(latencies, 0.5) * 1e3, percentile(latencies, 0.99) * 1e3
    )


@contextlib.asynccontextmanager
async def _viewers(side: Side, count: int, events: int) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Open streams in processes of their own."""
    processes = []
    try:
        for number in range(min(PROCESSES, count)):
            share = len(range(number, count, PROCESSES))
            program = [sys.executable, "-S", str(SOCKETS), side.url, str(share), str(events)]
            process = await asyncio.create_subprocess_exec(*program, stdin=PIPE, stdout=PIPE, limit=2**26)
            assert process.stdin is not None
            process.stdin.write(side.head().encode())
            process.stdin.close()
            processes.append(process)
        yield processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _answer(viewers: asyncio.subprocess.Process) -> list[float]:
    """Return the latencies that a process of viewers says; none once all its streams are open."""
    assert viewers.stdout is not None
    async with asyncio.timeout(120):
        latencies: list[float] = json.loads(await viewers.stdout.readline())
    return latencies


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _gateway(stack: RunningStack, bus: Bus, job: str) -> Side:
    last = offset = 0

    async def publish(text: str) -> None:
        nonlocal last, offset
        offset += 1
        last = await bus.publish(_log(job, text, offset), message_id=f"{job}:bench:{offset}")

    def head() -> str:
        resumed = f"Last-Event-ID: {last}\r\n" if last else ""
        return (
            f"GET /api/v1/jobs/{job}/events HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {stack.token}\r\n{resumed}"
        )

    pid = stack.endpoints["pids"]["gateway"]
    return Side(url=stack.endpoints["http"], head=head, pid=pid, publish=publish)


def _log(job: str, text: str, offset: int) -> JobLog:
    return JobLog(id=job, step="bench", lines=(LogLine(stream="stdout", text=text),), offset=offset)


@contextlib.asynccontextmanager
async def _provisioner(stack: RunningStack) -> AsyncIterator[Bus]:
    """Connect as the one that may publish a job's log."""
    key = stack.data / "identities" / "provisioner.nk"
    bus = Bus(ServiceSettings(nats_url=stack.endpoints["nats"], nats_nkey_file=key), service="provisioner")
    await bus.connect()
    yield bus
    await bus.drain()


@contextlib.asynccontextmanager
async def _plain_bus(folder: Path) -> AsyncIterator[tuple[str, Publish]]:
    """Start a nats-server that stores nothing of what is published."""
    server = EmbeddedNats(folder)
    await asyncio.to_thread(server.prepare)
    server.start()
    connection = await nats.connect(server.url)

    async def publish(text: str) -> None:
        await connection.publish("bench", _log("job", text, 1).model_dump_json().encode())
        await connection.flush()

    yield server.url, publish
    await connection.close()
    server.stop()


def _install(folder: Path) -> None:
    """Install Node's client of the bus, and put the peer beside it."""
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    shutil.copy(PEER, folder)


@contextlib.contextmanager
def _peer(folder: Path, bus: str, subject: str, publish: Publish, key: str = "") -> Iterator[Side]:
    """Run the peer: it says its port once it listens and is subscribed."""
    command = ["node", str(folder / PEER.name), bus, subject, key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        url = f"http://127.0.0.1:{port}"
        yield Side(url=url, head=lambda: "GET / HTTP/1.1\r\nHost: x\r\n", pid=process.pid, publish=publish)
        process.terminate()


@contextlib.contextmanager
def _floor() -> Iterator[Side]:
    """Run the floor: it says its port, and writes what it is given."""
    command = [sys.executable, str(FLOOR)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        lines, port = process.stdin, process.stdout
        assert lines is not None
        assert port is not None

        async def publish(text: str) -> None:
            lines.write(f"{_log('job', text, 1).model_dump_json()}\n".encode())
            lines.flush()

        url = f"http://127.0.0.1:{port.readline().decode().strip()}"
        yield Side(url=url, head=lambda: "GET / HTTP/1.1\r\nHost: x\r\n", pid=process.pid, publish=publish)
        process.terminate()
