"""How long a service that was killed is away: until its readiness is answered well again."""

import asyncio
import contextlib
import os
import signal
import time
from statistics import median

import httpx

from bench.builds import Side
from bench.processes import listening_port
from bench.table import Row, compared
from slipway.contracts.registry import SERVICES

TURNS = 3
SECONDS = 60.0
PAUSE_SECONDS = 1.0


async def measured(sides: list[Side]) -> list[Row]:
    """Kill each service a few times, in turns."""
    values: dict[str, list[float]] = {side.name: [] for side in sides}
    parts: dict[str, list[float]] = {service: [] for service in SERVICES}
    for _ in range(TURNS):
        for service in SERVICES:
            for side in sides:
                away = await _killed(side, service)
                values[side.name].append(away)
                if side is sides[0]:
                    parts[service].append(away)
    beside = ", ".join(f"{service} {median(each):.2f}" for service, each in parts.items())
    return [compared("a killed service answers again", values, "s", beside)]


async def _killed(side: Side, service: str) -> float:
    pid = side.stack.endpoints["pids"][service]
    url = f"http://127.0.0.1:{listening_port(pid)}/readyz"
    async with httpx.AsyncClient(trust_env=False, timeout=1.0) as client, asyncio.timeout(SECONDS):
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        while not await _is_back(side, service, pid, client, url):  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(0.01)
        took = time.monotonic() - began
    await asyncio.sleep(PAUSE_SECONDS)
    return took


async def _is_back(side: Side, service: str, before: int, client: httpx.AsyncClient, url: str) -> bool:
    with contextlib.suppress(httpx.TransportError, OSError):
        if side.stack.endpoints["pids"].get(service, before) == before:
            return False
        return (await client.get(url)).is_success
    return False
