"""Many containers at once: created, then all stopped and started as one batch with one stream."""

import asyncio
import secrets
import time
from typing import Any

import httpx

from bench.table import Row
from slipway.client.sse import follow
from support.lab import most_tasks
from support.stack import RunningStack

SIZE = 200
CREATED = 100
"""What one request may create."""
_TASKS = {"create": "vzcreate", "stop": "vzstop", "start": "vzstart"}


async def measured(stack: RunningStack) -> list[Row]:
    """Ask for each batch, and count what the node is asked for at a time."""
    name = f"bulk{secrets.token_hex(3)}"
    async with stack.client() as api:
        body = {"hostname": name, "template": "debian-base", "count": CREATED}
        rows = [await _row(stack, api, "create", "containers", **body) for _ in range(SIZE // CREATED)]
        for verb in ("stop", "start"):
            body = {"kind": f"container.{verb}", "selection": f"name:{name}-*"}
            rows.append(await _row(stack, api, verb, "jobs", **body))
    return rows[1:]


async def _row(stack: RunningStack, api: httpx.AsyncClient, verb: str, path: str, **body: Any) -> Row:
    ended = asyncio.Event()
    looking = asyncio.create_task(most_tasks(stack.endpoints["lab"], _TASKS[verb], ended))
    began = time.monotonic()
    job = (await api.post(f"/api/v1/{path}", json=body)).raise_for_status().json()["job"]["id"]
    states: dict[int, str] = {}
    async for event in follow(api, f"/api/v1/jobs/{job}/events"):
        if event.kind == "item":
            states[event.content["index"]] = event.content["state"]
    took = time.monotonic() - began
    ended.set()
    good = sum(state == "succeeded" for state in states.values())
    detail = f"{good} succeeded; at the node never more than {await looking} at once, of 8 allowed"
    return Row(f"{verb} {len(states)} containers as one batch with one stream", f"{took:.1f} s", detail)
