"""One run: a stack, people, faults; then everything is compared, and reported in one line of figures."""

import asyncio
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from chaos import checks, stream
from chaos.faults import FAULTS, Scene
from chaos.host import Host
from chaos.lives import Assignment, plan
from chaos.model import TERMINAL, Job, Model
from chaos.people import Person
from chaos.processes import Processes

from support.stack import RunningStack

ROOT = Path(__file__).parents[2]
TEMPLATES = Path(__file__).parents[1] / "e2e" / "templates"
LONGEST_WAIT_SECONDS = 12.0
"""For the jobs to come as far as the next fault wants them."""
SETTLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be run."""

    seed: int
    jobs: int
    faults: Sequence[str]
    at_once: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it."""

    order: Order
    scene: Scene
    evidence: checks.Evidence
    violations: Sequence[str]
    seconds: float

    def figures(self) -> str:
        """Return one line of figures."""
        jobs = self._jobs()
        states = Counter(job.state or "stuck" for job in jobs)
        ends = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        events = sum(len(job_log) for job_log in self.evidence.job_logs.values())
        return (
            f"chaos seed={self.order.seed}: {len(jobs)} jobs ({ends}), {len(self.order.faults)} faults, "
            f"{self.scene.takeovers} taken over, {self.scene.refused} refused on waking, "
            f"{events} events, {sum(job.cuts for job in jobs)} cuts, "
            f"recovery {checks.recovery_seconds(self.evidence):.1f} s, {self.seconds:.0f} s in all, "
            f"{len(self.violations)} violations"
        )

    def save(self, folder: Path) -> None:
        """Write down the events of every job and what its viewer saw, for whoever looks for a cause."""
        jobs = {
            job.id: [asdict(job), *map(asdict, self.evidence.job_logs.get(job.id, ()))]
            for job in self._jobs()
        }
        text = json.dumps(jobs | {"violations": list(self.violations)}, indent=1, default=str)
        (folder / "jobs.json").write_text(text)

    def _jobs(self) -> list[Job]:
        return list(self.scene.model.jobs.values())


def copy_templates(folder: Path) -> dict[str, str]:
    """Put Slipway's templates and those of the tests into a folder; the environment that names it."""
    shutil.copytree(ROOT / "infra" / "lxc", folder)
    shutil.copytree(TEMPLATES, folder / "templates", dirs_exist_ok=True)
    return {"SLIPWAY_TEMPLATES_DIR": str(folder / "templates")}


async def chaos(stack: RunningStack, order: Order) -> Report:
    """Let people work and break things meanwhile; compare when all is over."""
    began = time.monotonic()
    host, processes, model = Host(stack.data), Processes(stack), Model()
    scene = Scene(stack, host, processes, model, random.Random(f"{order.seed}/scene"))
    try:
        async with stack.client() as client:
            await _until_served(client)
            lives = plan(order.seed, order.jobs, (await client.get("/api/v1/openapi.json")).json()["paths"])
            working = asyncio.create_task(_work(client, model, lives, order.at_once))
            try:
                await _break(scene, order, working)
                ended_at = time.time()
                await working
            finally:
                working.cancel()
            evidence = await _look(client, scene, ended_at)
    finally:
        processes.end_replica()
        await host.aclose()
    violations = [*model.violations, *checks.violations(evidence)]
    return Report(
        order=order, scene=scene, evidence=evidence, violations=violations, seconds=time.monotonic() - began
    )


async def _work(client: httpx.AsyncClient, model: Model, lives: Sequence[Assignment], at_once: int) -> None:
    room = asyncio.Semaphore(at_once)

    async def one(assignment: Assignment) -> None:
        async with room:
            await Person(client, model, assignment).live()

    async with asyncio.TaskGroup() as group:
        for assignment in lives:
            group.create_task(one(assignment))


async def _break(scene: Scene, order: Order, working: "asyncio.Task[None]") -> None:
    """Spread the faults over the jobs: each waits until its share of them has ended, but not for long."""
    await _until_reached(scene, 1, working, accepted=True)
    for number, name in enumerate(order.faults):
        share = order.jobs * 0.9 * number / len(order.faults)
        await _until_reached(scene, int(share), working)
        began = time.monotonic()
        try:
            outcome = await FAULTS[name](scene)
        except Exception as error:  # noqa: BLE001 - what can't be broken is reported, and ends no run
            outcome = repr(error)
            scene.model.violate(f"the fault {name!r} could not be made: {error!r}")
        print(f"{_clock()} {name}: {outcome} ({time.monotonic() - began:.1f} s)", flush=True)  # noqa: T201
    await scene.host.clear()


async def _until_reached(
    scene: Scene, number: int, working: "asyncio.Task[None]", *, accepted: bool = False
) -> None:
    ends = time.monotonic() + LONGEST_WAIT_SECONDS
    while not working.done() and time.monotonic() < ends:
        if (len(scene.model.jobs) if accepted else scene.model.ended()) >= number:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(scene.chance.uniform(0.2, 1.5))


async def _look(client: httpx.AsyncClient, scene: Scene, ended_at: float) -> checks.Evidence:
    """Gather what there is, once inventory has heard of every end."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        jobs = {each["id"]: each for each in await _all(client, "/api/v1/jobs")}
        containers = await _all(client, "/api/v1/containers")
        is_settled = all(each["state"] in TERMINAL for each in jobs.values()) and not any(
            each.get("job") for each in containers
        )
        if is_settled or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    async with stream.as_admin(scene.stack) as connection:
        job_logs = await stream.job_logs(connection)
    return checks.Evidence(
        model=scene.model,
        host=await scene.host.containers(),
        tasks=await scene.host.tasks(),
        containers=containers,
        jobs=jobs,
        job_logs=job_logs,
        faults_ended_at=ended_at,
    )


async def _all(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    async with asyncio.timeout(SETTLE_SECONDS):
        while True:
            with suppress(httpx.TransportError):
                params = {"limit": "500"} | ({"cursor": cursor} if cursor else {})
                answer = await client.get(path, params=params)
                if answer.is_success:
                    items += answer.json()["items"]
                    cursor = answer.json().get("next")
                    if cursor is None:
                        return items
                    continue
            await asyncio.sleep(0.2)


async def _until_served(client: httpx.AsyncClient) -> None:
    """Wait until the tests' own templates are known."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while "counting" not in (await client.get("/api/v1/templates")).text:  # noqa: ASYNC110 - polled on purpose
            await asyncio.sleep(0.2)


def _clock() -> str:
    return time.strftime("%H:%M:%S")
