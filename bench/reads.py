"""Reading one container, beside what that is made of: a row by its key, a question on the bus."""

import asyncio
import time
from statistics import median

import asyncpg
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.builds import Side
from bench.http_load import CONNECTIONS, Load, load
from bench.processes import cpu_seconds, family
from bench.table import Row, compared
from slipway.standalone.embedded.nats import EmbeddedNats
from support.folders import open_folder
from support.stack import create, job_events

TURNS = 3
SECONDS = 3.0
FLOOR_REQUESTS = 3000


async def measured(sides: list[Side]) -> list[Row]:
    """Read the same container again and again, in turns."""
    paths = {side.name: f"/api/v1/containers/{await _container(side)}" for side in sides}
    loads: dict[str, list[Load]] = {side.name: [] for side in sides}
    for _ in range(TURNS):
        for side in sides:
            loads[side.name].append(await load(side, paths[side.name], seconds=SECONDS))
    floors = f"asyncpg by key {await _by_key(sides[0]):.2f} ms, nats-py request {await _request():.2f} ms"
    cpu = {name: [each.cpu_ms for each in turns] for name, turns in loads.items()}
    rate = {name: [each.per_second for each in turns] for name, turns in loads.items()}
    return [
        compared("read one container, CPU of all processes", cpu, "ms", f"CPU of both ends: {floors}"),
        compared(f"read one container, {CONNECTIONS} connections", rate, "requests/s"),
    ]


async def _container(side: Side) -> str:
    async with side.stack.client() as api:
        accepted = await create(api, template="debian-base", hostname="read")
        await job_events(api, accepted["job"]["id"])
        return str(accepted["container"]["id"])


async def _by_key(side: Side) -> float:
    """CPU milliseconds, ours and the server's, for a row by its key."""
    pool = await asyncpg.create_pool(
        side.stack.database_url("inventory"), min_size=CONNECTIONS, max_size=CONNECTIONS
    )
    key = await pool.fetchval("select id from inventory.containers limit 1")

    async def read(connection: asyncpg.pool.PoolConnectionProxy) -> None:
        for _ in range(FLOOR_REQUESTS // CONNECTIONS):
            assert await connection.fetchrow("select * from inventory.containers where id = $1", key)

    connections = [await pool.acquire() for _ in range(CONNECTIONS)]
    servers = {connection.get_server_pid() for connection in connections}
    began = time.process_time() + cpu_seconds(servers)
    await asyncio.gather(*map(read, connections))
    used = time.process_time() + cpu_seconds(servers) - began
    for connection in connections:
        await pool.release(connection)
    await pool.close()
    return used * 1000 / FLOOR_REQUESTS


async def _request() -> float:
    """CPU milliseconds, of both ends and the server, for a question on the bus."""
    with open_folder("bench-nats") as folder:
        server = EmbeddedNats(folder)
        server.start()
        connection = await nats.connect(server.url)
        await connection.subscribe("bench.question", cb=_respond)
        servers = family(server.server.pid)
        used = []
        for _ in range(TURNS):
            began = time.process_time() + cpu_seconds(servers)
            await asyncio.gather(*(_ask(connection) for _ in range(CONNECTIONS)))
            used.append(time.process_time() + cpu_seconds(servers) - began)
        await connection.close()
        server.stop()
    return median(used) * 1000 / FLOOR_REQUESTS


async def _respond(message: Msg) -> None:
    await message.respond(b"x" * 1000)


async def _ask(connection: Client) -> None:
    for _ in range(FLOOR_REQUESTS // CONNECTIONS):
        await connection.request("bench.question", b"", timeout=10)
