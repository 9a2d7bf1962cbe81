"""What a stack uses while nothing happens: 170 guests run, which nobody touches."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from bench.builds import Side
from bench.processes import cpu_seconds, family, wakeups
from bench.table import Row, compared
from support.lab import ended, lab_of

GUESTS = 170
AT_ONCE = 8
REST_SECONDS = 90.0
"""Until each new guest was looked into, on a busy machine too: half a minute was not enough there."""
SECONDS = 45.0
_SERVERS = ("nats", "postgres")


async def measured(sides: list[Side]) -> list[Row]:
    """Start guests on each lab, as someone else would; look at all stacks at once."""
    for side in sides:
        await fill(side.stack.data, GUESTS)
    await asyncio.sleep(REST_SECONDS)
    before = [_used(side) for side in sides]
    await asyncio.sleep(SECONDS)
    rates: dict[str, dict[str, list[float]]] = {}
    for side, used in zip(sides, before, strict=True):
        for name, value in _used(side).items():
            rates.setdefault(name, {})[side.name] = [(value - used[name]) / SECONDS]
    what = f"idle with {GUESTS} guests"
    parts = ", ".join(f"{name} {rates[name][sides[0].name][0] * 100:.2f}" for name in ("services", *_SERVERS))
    whole = {
        name: [sum(rates[part][name][0] for part in ("services", *_SERVERS)) * 100] for name in rates["nats"]
    }
    lab = {name: [value[0] * 100] for name, value in rates["lab"].items()}
    return [
        compared(f"{what}, CPU of services, NATS and PostgreSQL", whole, "% of a core", parts),
        compared(f"{what}, CPU of the lab", lab, "% of a core"),
        compared(f"{what}, wake-ups of NATS", rates["wake-ups"], "per second"),
    ]


def _used(side: Side) -> dict[str, float]:
    """Return CPU seconds so far by part, and how often NATS was woken."""
    pids = side.stack.endpoints["pids"]
    servers = {name: family(pids[name]) for name in _SERVERS}
    return {
        "services": cpu_seconds(side.pids.difference(*servers.values())),
        **{name: cpu_seconds(each, with_ended=True) for name, each in servers.items()},
        "lab": cpu_seconds(family(pids["lab"])),
        "wake-ups": wakeups(pids["nats"]),
    }


async def fill(data: Path, count: int) -> None:
    """Start guests on the lab of a data folder, as someone else would."""
    async with lab_of(data) as lab:
        content = (await lab.get("/nodes/lab/storage/local/content?content=vztmpl")).json()["data"]
        slots = asyncio.Semaphore(AT_ONCE)
        vmids = range(5000, 5000 + count)
        await asyncio.gather(*(_guest(lab, slots, vmid, content[0]["volid"]) for vmid in vmids))


async def _guest(lab: httpx.AsyncClient, slots: asyncio.Semaphore, vmid: int, template: str) -> None:
    body: dict[str, Any] = {
        "vmid": vmid,
        "ostemplate": template,
        "rootfs": "local:1",
        "hostname": f"idle-{vmid}",
        "net0": "name=eth0,bridge=vmbr0,ip=dhcp",
        "start": 1,
    }
    async with slots:
        answer = await lab.post("/nodes/lab/lxc", data=body)
        status = await ended(lab, answer.raise_for_status().json()["data"])
        assert status == "OK" or status.startswith("WARNINGS"), status
