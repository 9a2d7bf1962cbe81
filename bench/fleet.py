"""The fleet's list with a thousand containers."""

import time

import asyncpg

from bench.table import Row, percentile
from support.stack import RunningStack

FLEET = 1000
REQUESTS = 50
_COPY = """
insert into inventory.containers ({same}, id, hostname, vmid)
select {same}, 'bench-' || n, 'copy-' || n, 100000 + n
from (select * from inventory.containers where lifecycle = 'ready' limit 1) one, generate_series(1, $1::int) n
"""
_OWN = ("id", "hostname", "vmid")


async def measured(stack: RunningStack) -> list[Row]:
    """Copy one container's row until there are a thousand, and list them all."""
    folder = next(path for path in (stack.data / "services").resolve().parent.rglob("inventory/database-url"))
    connection = await asyncpg.connect(folder.read_text().strip())
    columns = await connection.fetch(
        "select column_name from information_schema.columns"
        " where table_schema = 'inventory' and table_name = 'containers'"
    )
    same = ", ".join(name for (name,) in columns if name not in _OWN)
    count = await connection.fetchval(
        "select count(*) from inventory.containers where lifecycle <> 'deleted'"
    )
    await connection.execute(_COPY.format(same=same), FLEET - count)
    await connection.close()
    took, size = [], 0
    async with stack.client() as api:
        one = await _timed(api, 1)
        for _ in range(REQUESTS):
            began = time.perf_counter()
            size = 0
            cursor = None
            while True:
                query = {"limit": "1000", **({"cursor": cursor} if cursor else {})}
                answer = await api.get("/api/v1/containers", params=query)
                size += len(answer.content)
                cursor = answer.json()["next"]
                if cursor is None:
                    break
            took.append((time.perf_counter() - began) * 1000)
    p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
    detail = f"p99 {p99:.0f} ms; {size / 1024:.0f} KiB; the first container alone {one:.0f} ms"
    return [Row(f"fleet list with {FLEET} containers, p50", f"{p50:.0f} ms", detail)]


async def _timed(api: object, limit: int) -> float:
    began = time.perf_counter()
    await api.get("/api/v1/containers", params={"limit": limit})  # type: ignore[attr-defined]
    return (time.perf_counter() - began) * 1000
