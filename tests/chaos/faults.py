"""The faults, one table: what is broken, how, and which jobs may fail of it. Kills excuse nothing."""

import asyncio
import contextlib
import os
import random
import re
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

import httpx
from chaos import hard, stream
from chaos.host import Host
from chaos.lives import FIRST_CHOSEN
from chaos.model import CANCELLED, Hit, Job, Model
from chaos.processes import Processes

from slipway.lab import faults as lab
from slipway.lab.faults import scope
from support.stack import RunningStack

MET_SECONDS = 8.0
"""How long an order of the lab stands at most."""
TAKEOVER_SECONDS = 45.0
YOUNG_EVENTS = 14
WOKEN_SECONDS = 20.0
BUSY_SECONDS = 15.0
"""How long a job is waited for that the worker can lose."""
CANCEL_SECONDS = 20.0
FOREIGN_SECONDS = 6.0
"""How long someone else keeps a container on a VMID that a person wants."""
_JOB = re.compile(r"\bjob=([a-z0-9]+)|\bmessage_id=job:([a-z0-9]+):run")


@dataclass(slots=True)
class Scene:
    """What a fault acts on."""

    stack: RunningStack
    host: Host
    processes: Processes
    model: Model
    chance: random.Random
    takeovers: int = 0
    """Jobs that a stopped worker lost to another."""
    refused: int = 0
    """Times at which a worker that woke found that its claim was lost."""
    met: dict[str, int] = field(default_factory=dict)


Fault = Callable[[Scene], Awaitable[str]]
"""Breaks something, waits until it is whole again, returns what it did."""


async def kill(scene: Scene, *, name: str) -> str:
    """Kill a process with SIGKILL; its supervisor starts it again."""
    await scene.processes.kill(name)
    return "back"


async def at_host(scene: Scene, *, make: Callable[[int], scope.Fault], hits: bool = False) -> str:
    """Order a fault of the host; one that may make a job fail hits the VMID of a job under way."""
    job = _some_job(scene) if hits else None
    if hits and job is None:
        return "nothing to break"
    vmid = max(job.vmids) if job else 0
    fault = make(vmid)
    hit = Hit(reason=fault.kind, vmid=vmid)
    if job is not None:
        scene.model.hits.append(hit)
    is_met = await _ordered(scene, fault)
    hit.ended_at = time.time()
    return "met" if is_met else "not met"


async def take_vmid(scene: Scene) -> str:
    """Let someone else take the next VMID; if a person chose it, the other one removes his after a while."""
    before = await scene.host.foreigners()
    hit = Hit(reason="vmid-taken", vmid=None, chosen_only=True)
    scene.model.hits.append(hit)
    is_met = await _ordered(scene, lab.VmidTaken())
    taken = await scene.host.foreigners() - before
    chosen_vmids = {vmid for vmid in taken if vmid >= FIRST_CHOSEN}
    for vmid in chosen_vmids:
        await asyncio.sleep(FOREIGN_SECONDS)
        await scene.host.remove(vmid)
    scene.model.foreigners |= taken - chosen_vmids
    hit.ended_at = time.time()
    return f"took {taken}" if is_met else "not met"


async def _ordered(scene: Scene, fault: scope.Fault) -> bool:
    """Let an order stand until it was met, but not for long; whether it was."""
    order = await scene.host.order(fault)
    ends = time.monotonic() + MET_SECONDS
    while await scene.host.stands(order) and time.monotonic() < ends:  # noqa: ASYNC110 - the lab can't tell
        await asyncio.sleep(0.1)
    is_met = not await scene.host.stands(order)
    await scene.host.clear(order)
    return is_met


async def refuse_ssh(scene: Scene) -> str:
    """Cut every SSH connection and refuse the next ones."""
    await scene.host.order(lab.SshDropped(now=True))
    return await at_host(scene, make=lambda _: lab.SshRefused(times=3))


async def repeat_command(scene: Scene) -> str:
    """Send a run command twice."""
    async with stream.as_admin(scene.stack) as connection:
        job = await stream.repeat_a_command(connection)
    return f"job {job}" if job else "nothing waits"


async def pause(scene: Scene) -> str:
    """Stop a worker until another has its jobs, then let it wake: each of them must be refused to it."""
    await scene.processes.start_replica()
    pid = await scene.processes.pid("provisioner")
    ours, other = scene.stack.data / "log" / "provisioner.log", scene.processes.replica_log
    begins = other.stat().st_size
    ends = time.monotonic() + BUSY_SECONDS
    while not _held_by(ours) and time.monotonic() < ends:  # noqa: ASYNC110 - a log has no event
        await asyncio.sleep(0.2)
    os.kill(pid, signal.SIGSTOP)
    held = _held_by(ours)
    try:
        taken = await _jobs_logged(other, begins, "run claimed", held, seconds=TAKEOVER_SECONDS)
    finally:
        os.kill(pid, signal.SIGCONT)
    refused = await _jobs_logged(ours, 0, "run.claim-lost", taken, seconds=WOKEN_SECONDS)
    scene.takeovers += len(taken)
    scene.refused += len(refused)
    if taken - refused:
        scene.model.violate(f"a stopped worker lost {taken}; on waking only {refused} was refused")
    return f"it held {len(held)}, {len(taken)} were taken over, {len(refused)} refused on waking"


async def cancel_beside(scene: Scene) -> str:
    """Cancel a job of one of two provisioners in the moment in which the bus comes back; it is retried."""
    job = _some_job(scene)
    if job is None:
        return "nothing to cancel"
    await scene.processes.start_replica()
    hit = Hit(reason=CANCELLED, vmid=max(job.vmids))
    scene.model.hits.append(hit)
    await scene.processes.kill("nats")
    ends = time.monotonic() + CANCEL_SECONDS
    answer = "no answer"
    async with scene.stack.client() as client:
        while not answer.isdecimal() and time.monotonic() < ends:
            with contextlib.suppress(httpx.TransportError):
                status = (await client.post(f"/api/v1/jobs/{job.id}/cancel")).status_code
                # Time's errors only: what was refused or taken is settled.
                answer = str(status) if status < httpx.codes.INTERNAL_SERVER_ERROR else f"a {status}"
            await asyncio.sleep(0.1)
    hit.ended_at = time.time()
    return f"job {job.id} ({job.kind}): {answer}"


def _held_by(file: Path) -> set[str]:
    """Return the jobs that the provisioner's last process claimed and neither ended nor released."""
    held: set[str] = set()
    for line in file.read_text(errors="replace").splitlines():
        match = _JOB.search(line)
        job = match and (match[1] or match[2])
        if "service ready" in line:
            held.clear()
        elif job and "run claimed" in line:
            held.add(job)
        elif job and any(end in line for end in ("run succeeded", "run ended", "delivery not handled")):
            held.discard(job)
    return held


async def _jobs_logged(file: Path, begin: int, text: str, jobs: set[str], *, seconds: float) -> set[str]:
    """Return those of the jobs that a log names in lines with a text, once it has named all."""
    ends = time.monotonic() + seconds
    while True:
        lines = file.read_bytes()[begin:].decode(errors="replace").splitlines()
        matches = {job for line in lines if text in line for job in jobs if job in line}
        if matches == jobs or time.monotonic() > ends:
            return matches
        await asyncio.sleep(0.5)


def _some_job(scene: Scene) -> Job | None:
    """Choose a job that no fault has hit yet, rather one at its beginning: there it has most to ask."""
    hit = {each.vmid for each in scene.model.hits if each.ended_at > time.time()}
    open_jobs = [job for job in scene.model.open_jobs() if not job.vmids & hit]
    young = [job for job in open_jobs if 1 < len(job.seen) < YOUNG_EVENTS]
    return scene.chance.choice(young or open_jobs) if open_jobs else None


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "kill provisioner": partial(kill, name="provisioner"),
        "kill inventory": partial(kill, name="inventory"),
        "kill gateway": partial(kill, name="gateway"),
        "kill monitor": partial(kill, name="monitor"),
        "kill catalog": partial(kill, name="catalog"),
        "kill nats": partial(kill, name="nats"),
        "kill postgres": partial(kill, name="postgres"),
        "pause provisioner": pause,
        "cancel beside a dying bus": cancel_beside,
        "kill replica": partial(kill, name="replica"),
        "say a command twice": repeat_command,
        "full disk of the bus": lambda scene: hard.fill_disk(scene.stack),
        "late messages": lambda scene: hard.hold_messages(scene.processes),
        "stepped clock": lambda scene: hard.step_clock(scene.processes),
        "lost answer to a creation": partial(
            at_host, make=lambda _: lab.LostAnswer(method="POST", path="/nodes/*/lxc")
        ),
        "lost answer to any change": partial(at_host, make=lambda _: lab.LostAnswer(method="POST")),
        "lost answer to a deletion": partial(at_host, make=lambda _: lab.LostAnswer(method="DELETE")),
        "late answers": partial(at_host, make=lambda _: lab.SlowAnswer(seconds=2.0, times=6)),
        "596 to changes": partial(at_host, make=lambda _: lab.ApiError(method="POST", status=596, times=2)),
        "595 to everything": partial(at_host, make=lambda _: lab.ApiError(status=595, times=10)),
        "500 to a container's changes": partial(
            at_host,
            make=lambda vmid: lab.ApiError(method="POST", path=f"/nodes/*/lxc/{vmid}/*", times=1),
            hits=True,
        ),
        "dropped SSH in a command": partial(at_host, make=lambda _: lab.SshDropped(after_bytes=900)),
        "dropped SSH everywhere": partial(at_host, make=lambda _: lab.SshDropped(now=True)),
        "refused SSH": refuse_ssh,
        "killed task of a creation": partial(at_host, make=lambda _: lab.WorkerKilled(task="vzcreate")),
        "failed task": partial(at_host, make=lambda vmid: lab.TaskFails(vmid=vmid), hits=True),
        "VMID taken by someone else": take_vmid,
    }
)
SHORT = (
    "kill provisioner",
    "lost answer to a creation",
    "kill nats",
    "dropped SSH in a command",
    "kill postgres",
    "596 to changes",
    "killed task of a creation",
    "VMID taken by someone else",
    "kill gateway",
    "kill inventory",
)
"""For the short form: what is most likely to find something in little time."""


def schedule(seed: int, number: int) -> list[str]:
    """Return so many faults, each as often as any other, in a seeded order."""
    chance = random.Random(f"{seed}/faults")
    made: list[str] = []
    while len(made) < number:
        bag = list(FAULTS)
        chance.shuffle(bag)
        made += bag
    return made[:number]
