"""A page of a hundred containers of more and more; the rows are put straight into the database."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from statistics import median

import asyncpg

from bench.builds import Side
from bench.http_load import Load, load
from bench.table import Row, compared, figure
from support.stack import create, job_events

FLEETS = (10, 1_000, 10_000)
PAGE = "/api/v1/containers?limit=100"
TURNS = 3
SECONDS = 3.0
CONNECTIONS = 4
CALM_SECONDS = 90.0
CALM_SHARE = 0.25
"""Of a core: below it a stack has seen that the new rows have no guests, which it does once."""
_COPY = """
insert into inventory.containers ({same}, id, hostname, vmid)
select {same}, 'bench-' || n, 'copy-' || n, 100000 + n
from (select * from inventory.containers where lifecycle = 'ready' limit 1) one,
    generate_series($1::int, $2::int) n
"""
_OWN = ("id", "hostname", "vmid")


async def measured(sides: list[Side]) -> list[Row]:
    """List the first hundred of more and more containers, in turns."""
    for side in sides:
        async with side.stack.client() as api:
            accepted = await create(api, template="debian-base", hostname="listed")
            await job_events(api, accepted["job"]["id"])
    rows = []
    for fleet in FLEETS:
        await asyncio.gather(*(_fill(side, fleet) for side in sides))
        loads: dict[str, list[Load]] = {side.name: [] for side in sides}
        for _ in range(TURNS):
            for side in sides:
                loads[side.name].append(await load(side, PAGE, seconds=SECONDS, connections=CONNECTIONS))
        cpu = {name: [each.cpu_ms for each in turns] for name, turns in loads.items()}
        rate = {name: [each.per_second for each in turns] for name, turns in loads.items()}
        what = f"list of 100 at {fleet:,} containers"
        rows.append(compared(f"{what}, CPU of all processes", cpu, "ms"))
        rows.append(compared(f"{what}, {CONNECTIONS} connections", rate, "requests/s"))
        rows.append(await _summaries(sides[0], what, cpu))
    return rows


async def _summaries(side: Side, what: str, whole: Mapping[str, Sequence[float]]) -> Row:
    """Measure the page without what is large in it, which the baseline does not have."""
    turns = [
        await load(side, f"{PAGE}&view=summary", seconds=SECONDS, connections=CONNECTIONS)
        for _ in range(TURNS)
    ]
    beside = f"with `spec` and the rest {figure(median(whole[side.name]))} ms"
    return compared(
        f"{what}, as a summary, CPU of all processes",
        {side.name: [each.cpu_ms for each in turns]},
        "ms",
        beside,
    )


async def _fill(side: Side, fleet: int) -> None:
    """Copy one container's row until there are so many; wait until the stack is at rest again."""
    connection = await asyncpg.connect(side.stack.database_url("inventory"))
    columns = await connection.fetch(
        "select column_name from information_schema.columns"
        " where table_schema = 'inventory' and table_name = 'containers'"
    )
    same = ", ".join(name for (name,) in columns if name not in _OWN)
    count = await connection.fetchval(
        "select count(*) from inventory.containers where lifecycle <> 'deleted'"
    )
    await connection.execute(_COPY.format(same=same), count, fleet - 1)
    await connection.execute("analyze inventory.containers")
    await connection.close()
    deadline = time.monotonic() + CALM_SECONDS
    share = 1.0
    while share > CALM_SHARE and time.monotonic() < deadline:
        used = side.cpu()
        await asyncio.sleep(7)
        share = (side.cpu() - used) / 7
