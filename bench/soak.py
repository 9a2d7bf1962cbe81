"""A month of a whole Slipway in one small container: memory, disk, writes; then 900 guests, then a full disk.

Nothing steps the clock of every part: nats-server reads it past every library. So a day takes seconds
instead: what is done on it is done in full, and every span after which something ends is shortened as much
(`SPANS`). What lives for 90 days or a year lives for `STORED_DAYS` here, so that within the month it ends
too. What a quiet day costs is measured at its own pace.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import asyncpg
import httpx

from bench.builds import OURS, ROOT, commit
from bench.idle import fill
from bench.node import running_node, use
from bench.small_host import MIB, SmallHost, small_host, wait_for
from bench.soak_days import FILES, GUESTS, JOBS, TEMPLATE, day, job, settle
from bench.table import Row, save
from support.clients import http_client
from support.folders import open_folder
from support.waiting import until

MEMORY_MIB, DISK_MIB = 512, 4096
DAYS = int(os.environ.get("DAYS", "30"))
DAY_SECONDS = float(os.environ.get("DAY_SECONDS", "20"))
STORED_DAYS = 10
MANY = 900
REST_SECONDS = 3 * DAY_SECONDS
CHECKPOINT_SECONDS = 300.0
"""PostgreSQL's `checkpoint_timeout`."""
INVENTORY, GATEWAY = "services/inventory/src/slipway/inventory", "services/gateway/src/slipway/gateway"
DECLARED = "libs/runtime/src/slipway/runtime/topology/declared.py"
SPANS = (
    (DECLARED, "LOG_LIFETIME = timedelta(days=7)", 7.0),
    (DECLARED, "EVENT_LIFETIME = timedelta(days=90)", STORED_DAYS),
    (DECLARED, "RECORD_LIFETIME = timedelta(days=90)", STORED_DAYS),
    (f"{INVENTORY}/settings.py", "Field(default=timedelta(days=90), ge=timedelta(days=1))", STORED_DAYS),
    (f"{INVENTORY}/settings.py", "Field(default=timedelta(days=365), ge=timedelta(days=1))", STORED_DAYS),
    (f"{INVENTORY}/retention/schedule.py", "KEYS_STORED = timedelta(days=1)", 1.0),
    (f"{INVENTORY}/retention/schedule.py", "sleep(_EVERY_SECONDS)", 0.25),
    (f"{GATEWAY}/settings.py", "session_lifetime: Duration = timedelta(hours=12)", 0.5),
)
"""What says how long something lives, or how often it is looked for, by file; and how many days here."""
DATA = "/srv/slipway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """What is stored, in MiB."""

    whole: float
    database: float
    job_logs: float
    journal: float
    bus: float
    logs: float

    def __str__(self) -> str:
        """Say it by parts."""
        return (
            f"database {self.database:.0f} (job logs {self.job_logs:.1f}), its journal {self.journal:.0f}, "
            f"bus {self.bus:.0f}, logs {self.logs:.0f}"
        )


async def measured() -> list[Row]:
    """Live through the month, then through a crowd, then through a full disk."""
    with open_folder("soak") as folder, running_node(folder) as node, _host() as host:
        wait_for(host.outside(f"{DATA}/run/endpoints.json"), host)
        async with _client(host) as api:
            await use(api, node)
            rows: list[Row] = []
            for part in (_month, _crowd, _full_disk):
                rows += await part(api, host, folder)
                # What took so long is not lost if a later part fails.
                save(rows, commit())
            return rows


@contextmanager
def _host() -> Iterator[SmallHost]:
    """Run `slipway up` in a small host, its spans of time shortened."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/root",
        "SLIPWAY_TEMPLATES_DIR": "/srv/lxc/templates",
        "SLIPWAY_NODE_CREATIONS": "8",
        "SLIPWAY_POOL_SIZE": "3",
        "SLIPWAY_DUPLICATE_WINDOW": str(REST_SECONDS),
    }
    command = (*OURS.program, "up", "--data", DATA, "--port", "0")
    with small_host(
        command,
        environment,
        memory_mib=MEMORY_MIB,
        disk_mib=DISK_MIB,
        replaced=_shortened(),
        fill=_put_templates,
    ) as host:
        yield host


def _put_templates(root: Path) -> None:
    OURS.copy_templates(root / "srv" / "lxc")
    for name, text in FILES.items():
        path = root / "srv" / "lxc" / "templates" / TEMPLATE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _shortened() -> dict[Path, str]:
    """Return our files with their spans shortened."""
    files: dict[Path, str] = {}
    for name, line, days in SPANS:
        text = files.get(ROOT / name) or (ROOT / name).read_text()
        assert text.count(line) == 1, f"{line} is not in {name}"
        seconds = max(1, round(days * DAY_SECONDS))
        head, separator, _ = line.rpartition(" = ")
        shorter = f"{head}{separator}timedelta(seconds={seconds})"
        files[ROOT / name] = text.replace(line, f"sleep({seconds})" if "sleep" in line else shorter)
    return files


@asynccontextmanager
async def _client(host: SmallHost) -> AsyncIterator[httpx.AsyncClient]:
    endpoints = json.loads(host.outside(f"{DATA}/run/endpoints.json").read_text())
    token = host.outside(endpoints["bootstrap_token_file"]).read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with http_client(base_url=endpoints["http"], headers=headers, timeout=60) as api:
        yield api


async def _month(api: httpx.AsyncClient, host: SmallHost, _node: Path) -> list[Row]:
    """Live through the days; how memory and disk went, and what a day writes."""
    guests = await settle(api)
    await asyncio.sleep(REST_SECONDS)
    first, parts = host.memory_mib(), _parts(host)
    memory, disks = [first], [await _disk(host)]
    written, began = host.written_mib(), time.monotonic()
    for number in range(1, DAYS + 1):
        await day(api, guests, number)
        memory.append(host.memory_mib())
        disks.append(await _disk(host))
        print(
            f"day {number}: {time.monotonic() - began:.0f} s, {memory[-1]:.0f} MiB, {disks[-1]}", flush=True
        )
        await asyncio.sleep(max(0.0, began + number * DAY_SECONDS - time.monotonic()))
    took = time.monotonic() - began
    busy = host.written_mib() - written
    await asyncio.sleep(REST_SECONDS)
    memory.append(host.memory_mib())
    # What the days have left is written with the next checkpoint.
    await asyncio.sleep(CHECKPOINT_SECONDS)
    written = host.written_mib()
    await asyncio.sleep(2 * CHECKPOINT_SECONDS)
    rest = (host.written_mib() - written) / (2 * CHECKPOINT_SECONDS)
    busy = (busy - rest * took) / DAYS
    middle = disks[len(disks) // 2]
    what = f"soak, {DAYS} days of {GUESTS} guests and {JOBS} jobs in {MEMORY_MIB} MiB on one core"
    stays = median(memory[-5:]) - median(memory[1:6])
    return [
        Row(
            f"{what}: memory at the end",
            memory[-1],
            f"at the beginning {first:.0f} MiB, at most {max(memory):.0f}; last five days to first five "
            f"{stays:+.0f}; processes killed for want of memory {host.oom_kills()}; "
            f"PSS at the beginning {_listed(parts)}; at the end {_listed(_parts(host))}",
            "MiB",
        ),
        Row(
            f"{what}: disk at the end",
            disks[-1].whole,
            f"{disks[-1]}; at the beginning {disks[0].whole:.0f} MiB ({disks[0]}); half-way "
            f"{middle.whole:.0f} ({middle}); of a disk of {DISK_MIB}",
            "MiB",
        ),
        Row(
            f"{what}: written a day",
            rest * 86400 + busy,
            f"by {JOBS} jobs {busy:.0f} MiB, while nothing happens {rest * 86400:.0f}; "
            f"a day took {took / DAYS:.0f} s",
            "MiB",
        ),
    ]


async def _crowd(_api: httpx.AsyncClient, host: SmallHost, node: Path) -> list[Row]:
    """Compare what it costs at rest to look after few guests and after many."""
    few = await _at_rest(host)
    await fill(node, MANY - GUESTS)
    await asyncio.sleep(2 * REST_SECONDS)
    many = await _at_rest(host)
    names = (("memory", "MiB"), ("CPU", "% of a core"), ("disk", "MiB"))
    return [
        Row(
            f"{MANY} guests at rest on a small host: {name}",
            ours,
            f"{GUESTS} guests: {theirs:.3g} {unit}",
            unit,
        )
        for (name, unit), ours, theirs in zip(names, many, few, strict=True)
    ]


async def _at_rest(host: SmallHost) -> tuple[float, float, float]:
    """Return memory in MiB, CPU in percent of a core, disk in MiB while nothing happens."""
    used = host.cpu_seconds()
    await asyncio.sleep(REST_SECONDS)
    cpu = (host.cpu_seconds() - used) / REST_SECONDS * 100
    return host.memory_mib(), cpu, (await _disk(host)).whole


async def _full_disk(api: httpx.AsyncClient, host: SmallHost, _node: Path) -> list[Row]:
    """Fill the disk, then stop and delete a container; make room, then create one."""
    container = await job(api, "POST", "containers", {"template": "debian-base", "hostname": "last"})
    filler = host.outside("/srv/filler")
    _fill_up(filler)
    await asyncio.sleep(REST_SECONDS / 4)
    began = time.monotonic()
    await job(api, "POST", f"containers/{container}/stop")
    await job(api, "DELETE", f"containers/{container}")
    took = time.monotonic() - began
    body = {"template": "debian-base", "hostname": "refused"}
    refused = (await api.post("/api/v1/containers", json=body)).json()["code"]
    filler.unlink()
    await until(lambda: _is_ready(api), within_seconds=60)
    await job(api, "POST", "containers", {"template": "debian-base", "hostname": "again"})
    beside = f"a creation is refused meanwhile: {refused}; with room again it succeeds"
    return [Row("a full disk: a container is stopped and deleted", took, beside, "s")]


async def _is_ready(api: httpx.AsyncClient) -> bool:
    return bool((await api.get("/readyz")).json()["status"] == "ready")


def _fill_up(path: Path) -> None:
    """Take all room of a disk."""
    with path.open("wb") as file, suppress(OSError):
        while True:
            file.write(bytes(MIB))
            file.flush()


async def _disk(host: SmallHost) -> Disk:
    places = host.outside("/var/lib/slipway")
    url = next(places.rglob("inventory/database-url")).read_text().strip()
    password = next(places.rglob("admin-password")).read_text().strip()
    connection = await asyncpg.connect(f"postgresql://postgres:{password}@{url.rpartition('@')[2]}")
    try:
        database = await connection.fetchval("select pg_database_size('slipway')")
        job_logs = await connection.fetchval("select pg_total_relation_size('inventory.job_log_parts')")
    finally:
        await connection.close()
    data = host.outside(DATA)
    return Disk(
        whole=host.disk_mib(),
        database=database / MIB,
        job_logs=job_logs / MIB,
        journal=host.disk_mib(*places.glob("*/postgres/cluster/pg_wal")),
        bus=host.disk_mib(*places.glob("*/nats")),
        logs=host.disk_mib(data / "log", *data.glob("*.log")),
    )


def _parts(host: SmallHost) -> dict[str, float]:
    """Return the memory of each part in MiB."""
    parts: dict[str, float] = {}
    for title, size in host.pss_by_title().items():
        name = re.search(
            r"slipway\.(catalog|gateway|inventory|monitor|provisioner)\b|nats-server|postgres", title
        )
        part = "up" if name is None else name[1] or name[0]
        parts[part] = parts.get(part, 0.0) + size
    return parts


def _listed(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {size:.0f}" for name, size in sorted(parts.items()))
