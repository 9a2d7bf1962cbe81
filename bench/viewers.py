"""How many log lines one gateway gives to 1, 100 and 500 viewers of a job.

The messages are published as the provisioner would, to a job that waits (its node is in maintenance, so that
nothing else happens); the viewers are plain sockets in processes of their own, so that the client is not what
is measured.
"""

import asyncio
import multiprocessing
import secrets
import time
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from bench.table import Row
from slipway.contracts.job_events import JobLog, LogLine
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.settings import ServiceSettings
from support.stack import RunningStack, create

MESSAGES = 500
LINES = 10
VIEWERS = (1, 100, 500)
_PROCESSES = 2
MAINTENANCE = "/api/v1/clusters/lab/nodes/lab/maintenance"


async def measured(stack: RunningStack) -> list[Row]:
    """Publish the same lines to more and more viewers."""
    settings = ServiceSettings(
        nats_url=stack.endpoints["nats"], nats_nkey_file=stack.data / "identities" / "provisioner.nk"
    )
    bus = Bus(settings, service="provisioner")
    await bus.start()
    rows = []
    alone = 0.0
    async with stack.client() as api:
        await api.put(MAINTENANCE)
        for count in VIEWERS:
            body = {"template": "debian-base", "hostname": f"many-{secrets.token_hex(4)}"}
            job = (await create(api, **body))["job"]["id"]
            rate = await _rate(stack, bus, job, count)
            alone = alone or rate
            what = f"SSE log lines per second to {count} viewer{'s' if count > 1 else ''} of one gateway"
            rows.append(Row(what, f"{rate:,.0f}", f"{rate / alone:.1f} of one viewer's"))
            await api.post(f"/api/v1/jobs/{job}/cancel")
        await api.delete(MAINTENANCE)
    await bus.drain()
    return rows


async def _rate(stack: RunningStack, bus: Bus, job: str, count: int) -> float:
    """Publish to viewers that are attached; lines given per second until the last one has all."""
    shares = [count // _PROCESSES + (1 if n < count % _PROCESSES else 0) for n in range(_PROCESSES)]
    pipes = []
    spawn = multiprocessing.get_context("spawn")
    path = f"/api/v1/jobs/{job}/events"
    for share in filter(None, shares):
        mine, theirs = spawn.Pipe()
        spawn.Process(target=_watch, args=(theirs, stack.endpoints["http"], path, stack.token, share)).start()
        pipes.append(mine)
    await asyncio.gather(*(asyncio.to_thread(pipe.recv) for pipe in pipes))
    began = time.perf_counter()
    publishing = asyncio.create_task(_publish(bus, job))
    await asyncio.gather(*(asyncio.to_thread(pipe.recv) for pipe in pipes))
    took = time.perf_counter() - began
    await publishing
    return count * MESSAGES * LINES / took


async def _publish(bus: Bus, job: str) -> None:
    lines = tuple(
        LogLine(stream="stdout", text=f"a line of a usual length, number {n}") for n in range(LINES)
    )
    running = set()
    for number in range(MESSAGES):
        message = JobLog(id=job, step="bench", lines=lines, offset=number)
        task = asyncio.create_task(bus.publish(message, message_id=f"{job}:bench:{number}"))
        running.add(task)
        if len(running) > 64:
            _done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*running)


def _watch(pipe: Connection, url: str, path: str, token: str, count: int) -> None:
    """Open some streams in a process of their own; say when all are open, and when all have everything."""
    asyncio.run(_watch_all(pipe, url, path, token, count))


async def _watch_all(pipe: Connection, url: str, path: str, token: str, count: int) -> None:
    opened = [await _open(url, path, token) for _ in range(count)]
    pipe.send("open")
    await asyncio.gather(*(_all_of_it(reader) for reader, _ in opened))
    pipe.send("done")
    for _, writer in opened:
        writer.close()


async def _open(url: str, path: str, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**22)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def _all_of_it(reader: asyncio.StreamReader) -> None:
    """Read until the last message has come; marks that lie across two reads are seen too."""
    mark = b'"offset":%d}' % (MESSAGES - 1)
    rest = b""
    while chunk := await reader.read(2**18):
        if mark in rest + chunk:
            return
        rest = chunk[-len(mark) :]
    raise ConnectionError("the stream ended before its last message")
