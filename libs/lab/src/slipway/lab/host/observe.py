"""What the node shows of its containers: fresh where Proxmox is, stale where it is stale.

Theory of operation. `status/current` and the list of containers ask each guest. `/cluster/resources` doesn't:
like pvestatd, `Observer` looks around once a period and the call shows that look, so a start shows late and a
new container is `unknown` (PVE 9.2, observed). Locks, tags and the list itself are fresh there too.
Minute averages for `rrddata` come from the same looks and live in memory only.
"""

import asyncio
import contextlib
import os
import time
from typing import Any

from slipway.lab.guests.protocol import GuestError, Usage
from slipway.lab.host import ha, options
from slipway.lab.host.configs import Config
from slipway.lab.host.machine import Machine

Row = dict[str, Any]
MIB = 1024**2
PRESSURES = tuple(f"pressure{what}{how}" for what in ("cpu", "io", "memory") for how in ("full", "some"))
RRD_STEPS = {"hour": 60, "day": 1800, "week": 10800, "month": 43200, "year": 604800}
RRD_POINTS = 60
REST = 19
"""Looking around takes a twentieth of the time at most, however many containers there are."""
RRD_KEYS = ("cpu", "disk", "diskread", "diskwrite", "maxdisk", "maxmem", "mem", "netin", "netout")
RESOURCE_KEYS = (*RRD_KEYS, "name", "status", "uptime")
USED = ("uptime", "cpu", "mem", "swap", "disk", "diskread", "diskwrite", "netin", "netout")
"""What a container that does not run uses nothing of."""


class Observer:
    """Looks at the containers."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._cpu: dict[int, tuple[float, float]] = {}
        self._seen: dict[int, Row] = {}
        self._history: dict[int, dict[int, Row]] = {}
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look around once a period."""
        self._looking = asyncio.create_task(self._look_around(), name="pvestatd")

    async def stop(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def container(self, vmid: int) -> Row:
        """Show one container as it is now."""
        config = self._machine.configs.get(vmid)
        usage = await self._usage(vmid)
        row = _idle_row(vmid, config)
        if usage is not None:
            row |= self._running(vmid, usage, row["cpus"])
        return row

    async def containers(self) -> list[Row]:
        """Show all containers as they are now; one may go away while another is looked at."""
        configs = self._machine.configs
        return [await self.container(vmid) for vmid in configs.vmids() if vmid in configs]

    def resources(self) -> list[Row]:
        """Show all containers as they were at the last look around."""
        return [self._resource(vmid) for vmid in self._machine.configs.vmids()]

    def history(self, vmid: int, timeframe: str) -> list[Row]:
        """Show averages; times without a look have only their time."""
        step = RRD_STEPS[timeframe]
        last = int(self._machine.now()) // step * step
        averages = self._history.get(vmid, {})
        times = range(last - (RRD_POINTS - 1) * step, last + 1, step)
        return [{"time": moment, **averages.get(moment // 60 * 60, {})} for moment in times]

    async def _look_around(self) -> None:
        while True:
            began = time.monotonic()
            for vmid in self._machine.configs.vmids():
                if vmid in self._machine.configs and not self._machine.condition.is_dead:
                    row = await self.container(vmid)
                    self._seen[vmid] = row
                    self._remember(vmid, row)
            for gone in set(self._seen) - set(self._machine.configs.vmids()):
                del self._seen[gone]
                self._history.pop(gone, None)
            took = time.monotonic() - began
            await asyncio.sleep(max(self._machine.timings.resources_period, REST * took))

    def _remember(self, vmid: int, row: Row) -> None:
        points = self._history.setdefault(vmid, {})
        point = {key: row[key] for key in RRD_KEYS} | {"maxcpu": row["cpus"]}
        if row["status"] == "stopped":
            point = {key: row[key] for key in ("disk", "maxdisk", "maxmem")} | {"maxcpu": row["cpus"]}
        points[int(self._machine.now()) // 60 * 60] = point
        while len(points) > RRD_POINTS:
            del points[next(iter(points))]

    def _resource(self, vmid: int) -> Row:
        config = self._machine.configs.get(vmid)
        place: Row = {"id": f"lxc/{vmid}", "node": self._machine.node, "type": "lxc", "vmid": vmid}
        place |= {key: config[key] for key in ("tags", "lock") if key in config}
        if (pool := self._machine.pools.of_guest(vmid)) is not None:
            place["pool"] = pool
        if (managed := ha.shown(self._machine, vmid)).get("managed"):
            place["hastate"] = managed["state"]
        seen = self._seen.get(vmid) if self._machine.is_online else None
        if seen is None:
            return place | {"status": "unknown"}
        row = place | {key: seen[key] for key in RESOURCE_KEYS}
        return row | {"maxcpu": seen["cpus"], "memhost": seen["mem"], "template": int("template" in seen)}

    async def _usage(self, vmid: int) -> Usage | None:
        if not self._machine.is_running(vmid):
            self._cpu.pop(vmid, None)
            return None
        try:
            return await self._machine.guests.usage(vmid)
        except (GuestError, OSError):  # it ended while being asked
            return None

    def _running(self, vmid: int, usage: Usage, cpus: int) -> Row:
        return {
            "status": "running",
            "pid": usage.pid,
            "uptime": int(usage.uptime_seconds),
            "cpu": self._load(vmid, usage, cpus),
            "mem": usage.memory_bytes,
            "swap": usage.swap_bytes,
            "disk": usage.disk_bytes,
            "netin": usage.net_in_bytes,
            "netout": usage.net_out_bytes,
        } | dict.fromkeys(PRESSURES, 0)

    def _load(self, vmid: int, usage: Usage, cpus: int) -> float:
        now = time.monotonic()
        before, spent = self._cpu.get(vmid, (now, usage.cpu_seconds))
        self._cpu[vmid] = (now, usage.cpu_seconds)
        elapsed = now - before
        return min(1.0, max(0.0, (usage.cpu_seconds - spent) / elapsed / cpus)) if elapsed > 0 else 0


def _idle_row(vmid: int, config: Config) -> Row:
    row: Row = {
        "vmid": vmid,
        "name": config.get("hostname", f"CT{vmid}"),
        "type": "lxc",
        "status": "stopped",
        "cpus": int(config.get("cores", os.cpu_count() or 1)),
        "maxmem": int(config.get("memory", "512")) * MIB,
        "maxswap": int(config.get("swap", "0")) * MIB,
        "maxdisk": int(options.size_gib(config) * 1024**3),
        **dict.fromkeys(USED, 0),
    }
    template = {"template": 1} if config.get("template") == "1" else {}
    return row | {key: config[key] for key in ("tags", "lock") if key in config} | template
