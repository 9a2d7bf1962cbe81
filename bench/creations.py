"""What the creation of a container costs, and how soon it begins: alone, and many at once.

CPU is that of all processes of a stack but the lab's, beyond what they use at rest.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.builds import Side
from bench.queue_peer import add_to_active
from bench.table import Row, compared
from slipway.client.sse import follow
from support.counts import Counter, Counts
from support.stack import create

TURNS = 3
BLOCK = 4
"""Creations of one turn, one after the other."""
COUNTED = 5
BATCHES = (10, 100)
REST_SECONDS = 6.0
TEMPLATE = "debian-base"

Values = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Creation:
    """How long one took, from the fact of its acceptance."""

    begun_ms: float
    """To the fact of its first phase."""
    seconds: float
    """To its end."""


async def measured(sides: list[Side]) -> list[Row]:
    """Create containers in turns: timed, counted, and as batches."""
    begun, cpu, seconds = _empty(sides), _empty(sides), _empty(sides)
    for side in sides:
        await created(side)
    for _ in range(TURNS):
        for side in sides:
            rate = await _share_at_rest(side)
            used, began = side.cpu(), time.monotonic()
            for _ in range(BLOCK):
                begun[side.name].append((await created(side)).begun_ms)
            took = time.monotonic() - began
            cpu[side.name].append((side.cpu() - used - rate * took) * 1000 / BLOCK)
            seconds[side.name].append(took / BLOCK)
    return [
        compared("202 to the first phase, p50", begun, "ms", await add_to_active()),
        *await _counted(sides),
        compared("creation job, 1 at once: CPU for each without the lab", cpu, "ms"),
        compared("creation job, 1 at once: time for each", seconds, "s"),
        *await _batches(sides),
    ]


def _empty(sides: list[Side]) -> Values:
    return {side.name: [] for side in sides}


async def _share_at_rest(side: Side) -> float:
    """Return the share of a core that a stack uses when nothing happens."""
    used = side.cpu()
    await asyncio.sleep(REST_SECONDS)
    return (side.cpu() - used) / REST_SECONDS


async def created(side: Side, **body: Any) -> Creation:
    """Create, and wait for the end of all."""
    name = f"bench-{secrets.token_hex(4)}"
    async with side.stack.client() as api:
        job = (await create(api, template=TEMPLATE, hostname=name, **body))["job"]["id"]
        followed = [event async for event in follow(api, f"/api/v1/jobs/{job}/events")]
    # What is away just after the start is no event of the job.
    events = [event for event in followed if event.kind != "outage"]
    assert events[-1].content["state"] == "succeeded", events[-1].text
    accepted, begun, ended = (datetime.fromisoformat(events[place].content["at"]) for place in (0, 1, -1))
    return Creation((begun - accepted).total_seconds() * 1000, (ended - accepted).total_seconds())


async def _counted(sides: list[Side]) -> list[Row]:
    """Count in turns what PostgreSQL and the bus do for a creation; polls that fall into it count too."""
    found: dict[str, list[Counts]] = {side.name: [] for side in sides}
    for side in sides:
        counter = Counter(side.stack)
        async with counter.logging():
            for _ in range(COUNTED):
                async with counter.counting() as counts:
                    await created(side)
                found[side.name].append(counts)
    statements = {name: [float(each.statements) for each in turns] for name, turns in found.items()}
    commits = {name: [float(each.commits) for each in turns] for name, turns in found.items()}
    messages = {name: [float(each.messages) for each in turns] for name, turns in found.items()}
    return [
        compared("creation job: PostgreSQL statements", statements, ""),
        compared("creation job: PostgreSQL commits", commits, ""),
        compared("creation job: messages that the bus stores", messages, ""),
    ]


async def _batches(sides: list[Side]) -> list[Row]:
    """Create many as one batch."""
    rows = []
    for size in BATCHES:
        cpu, seconds = _empty(sides), _empty(sides)
        for side in sides:
            rate = await _share_at_rest(side)
            used, began = side.cpu(), time.monotonic()
            await created(side, count=size)
            took = time.monotonic() - began
            cpu[side.name].append((side.cpu() - used - rate * took) * 1000 / size)
            seconds[side.name].append(took / size)
        what = f"creation job, {size} at once"
        rows.append(compared(f"{what}: CPU for each without the lab", cpu, "ms"))
        rows.append(compared(f"{what}: time for each", seconds, "s"))
    return rows
