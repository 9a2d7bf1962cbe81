"""The faults, one table: what is broken, how, and which jobs may fail of it. Kills excuse nothing."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from chaos import stream
from chaos.host import Host
from chaos.model import Job, Model
from chaos.processes import Processes

from slipway.lab import faults as lab
from support.stack import RunningStack

MET_SECONDS = 6.0
"""How long an order of the lab stands at most."""
TAKEOVER_SECONDS = 45.0
WOKEN_SECONDS = 20.0


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
"""Breaks something, waits until it is whole again, says what it did."""


async def kill(scene: Scene, *, name: str) -> str:
    """Kill a process with SIGKILL; its supervisor starts it again."""
    await scene.processes.kill(name)
    return "back"


async def at_host(scene: Scene, *, make: Callable[[Job | None], lab.Fault], excuses: bool = False) -> str:
    """Order a fault of the host, on a running job's container if it is one that excuses."""
    job = _some_job(scene) if excuses else None
    if excuses and job is None:
        return "nothing to break"
    began, fault = time.time(), make(job)
    order = await scene.host.order(fault)
    ends = time.monotonic() + MET_SECONDS
    while await scene.host.stands(order) and time.monotonic() < ends:  # noqa: ASYNC110 - the lab can't tell
        await asyncio.sleep(0.1)
    is_met = not await scene.host.stands(order)
    await scene.host.clear(order)
    if excuses and job is not None:
        for vmid in set(job.vmids):
            scene.model.excuse(vmid, f"{fault.kind} met" if is_met else fault.kind, since=began)
    return "met" if is_met else "not met"


async def take_vmid(scene: Scene) -> str:
    """Let someone else take the next VMID that is to be created; who chose it himself may fail."""
    before = {job.id for job in scene.model.open_jobs()}
    told = await at_host(scene, make=lambda _: lab.VmidTaken())
    if told == "met":
        scene.model.foreigners += 1
        for job in scene.model.jobs.values():
            if job.chooses_vmid and job.kind == "container.create" and (job.is_open or job.id in before):
                job.excuses.append("vmid-taken")
    return told


async def repeat_command(scene: Scene) -> str:
    """Say a run command twice."""
    async with stream.as_admin(scene.stack) as connection:
        job = await stream.repeat_a_command(connection)
    return f"job {job}" if job else "nothing waits"


async def pause(scene: Scene) -> str:
    """Stop a worker until another has its jobs, then let it wake: it must be refused."""
    await scene.processes.start_replica()
    pid = await scene.processes.pid("provisioner")
    ours = scene.stack.data / "log" / "provisioner.log"
    other = scene.processes.replica_log
    begins = (ours.stat().st_size, other.stat().st_size)
    os.kill(pid, signal.SIGSTOP)
    try:
        taken = await _count_until(other, begins[1], _is_takeover, seconds=TAKEOVER_SECONDS)
    finally:
        os.kill(pid, signal.SIGCONT)
    if taken == 0:
        return "nothing to take over"
    refused = await _count_until(ours, begins[0], _is_refusal, seconds=WOKEN_SECONDS)
    scene.takeovers += taken
    scene.refused += refused
    if refused == 0:
        scene.model.violate(f"a worker lost {taken} jobs while it was stopped, and was not refused on waking")
    return f"{taken} taken over, {refused} refused"


def _is_takeover(line: str) -> bool:
    return "run claimed" in line and "claim=1 " not in f"{line} "


def _is_refusal(line: str) -> bool:
    return "run.claim-lost" in line


async def _count_until(
    file: "os.PathLike[str]", begin: int, fits: Callable[[str], bool], *, seconds: float
) -> int:
    """Count the lines that fit, as soon as there is one and no more come."""
    ends, before = time.monotonic() + seconds, 0
    while True:
        with open(file, "rb") as opened:  # noqa: PTH123, ASYNC230 - a short file
            opened.seek(begin)
            lines = opened.read().decode(errors="replace").splitlines()
        number = sum(fits(line) for line in lines)
        if time.monotonic() > ends or (number and number == before):
            return number
        before = number
        await asyncio.sleep(1.0)


def _some_job(scene: Scene) -> Job | None:
    """Choose a job that is under way and has not been hit yet."""
    open_jobs = [job for job in scene.model.open_jobs() if not job.excuses]
    return scene.chance.choice(open_jobs) if open_jobs else None


def _vmid(job: Job | None) -> int | None:
    return max(job.vmids) if job else None


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
        "kill replica": partial(kill, name="replica"),
        "say a command twice": repeat_command,
        "lost answer to a creation": partial(
            at_host, make=lambda _: lab.LostAnswer(method="POST", path="/nodes/*/lxc")
        ),
        "lost answer to any change": partial(at_host, make=lambda _: lab.LostAnswer(method="POST")),
        "late answers": partial(at_host, make=lambda _: lab.SlowAnswer(seconds=2.0, times=6)),
        "596 to changes": partial(at_host, make=lambda _: lab.ApiError(method="POST", status=596, times=2)),
        "595 to everything": partial(at_host, make=lambda _: lab.ApiError(status=595, times=10)),
        "500 to a container's changes": partial(
            at_host,
            make=lambda job: lab.ApiError(method="POST", path=f"/nodes/*/lxc/{_vmid(job)}/*", times=1),
            excuses=True,
        ),
        "dropped SSH in a command": partial(at_host, make=lambda _: lab.SshDropped(after_bytes=900)),
        "dropped SSH everywhere": partial(at_host, make=lambda _: lab.SshDropped(now=True)),
        "refused SSH": partial(at_host, make=lambda _: lab.SshRefused(times=3)),
        "killed task of a creation": partial(at_host, make=lambda _: lab.WorkerKilled(task="vzcreate")),
        "failed task": partial(at_host, make=lambda job: lab.TaskFails(vmid=_vmid(job)), excuses=True),
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
    """Give so many faults, each as often as any other, in a seeded order."""
    chance = random.Random(f"{seed}/faults")
    made: list[str] = []
    while len(made) < number:
        bag = list(FAULTS)
        chance.shuffle(bag)
        made += bag
    return made[:number]
