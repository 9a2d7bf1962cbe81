"""What a creation, a read, a list and a poll cost: counts that no change may raise unseen.

Counted are PostgreSQL's statements (also begins and commits), its commits, the messages that the bus stores,
the programs that are begun over SSH and the requests to Proxmox. What goes on at rest too is left out, and
what is asked again until a task has ended counts once. An act is counted to the end of all that it causes, so
that nothing of one falls into the next: a job's last effect is that its log is stored. Each act is counted a
few times and the least is held against the budget: what a busy machine adds is not the act's.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial

import httpx
import pytest

from support.counts import Counter, Counts
from support.lab import lab_of
from support.stack import RunningStack, create, done, job_events
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Counts of one act."""

    statements: int
    commits: int
    messages: int
    processes: int
    requests: int


BUDGETS = {
    "creation": Cost(statements=60, commits=8, messages=69, processes=11, requests=30),
    "read": Cost(statements=1, commits=0, messages=0, processes=0, requests=0),
    "list": Cost(statements=1, commits=0, messages=0, processes=0, requests=0),
    "poll": Cost(statements=4, commits=1, messages=2, processes=0, requests=1),
}
"""At most. A creation needs 53 to 55 statements, 6 or 7 commits, 62 to 65 messages and 28 requests, on a
machine that is six times too busy as well: what is left is for a record that a slow step writes once more.
One of its processes is `hostname`, in the command that asks for `pct` on a node whose guests have changed. A
count that a change lowers is lowered here too."""
TIMES = 3
READS = 20
"""Of one count."""
REST_SECONDS = 25.0
"""Longer than the pauses of what goes on at rest."""
POLL = "/cluster/resources"
LOG_STORED = "INSERT INTO job_log_parts"

Act = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where costs are counted."""

    stack: RunningStack
    api: httpx.AsyncClient
    counter: Counter
    lab: httpx.AsyncClient

    async def least(self, act: Act, *, acts: int = 1, rest: Counts | None = None) -> Cost:
        """Act a few times; the least cost of one, beyond what happens at rest."""
        costs = [asdict(await self._cost(act, acts, rest)) for _ in range(TIMES)]
        return Cost(**{name: min(each[name] for each in costs) for name in costs[0]})

    async def rest(self) -> Counts:
        """Count what happens when nobody does anything."""
        async with self.counter.counting() as counts:
            await asyncio.sleep(REST_SECONDS)
        return counts

    async def polled(self) -> None:
        """Wait for the next poll."""
        before = self._polls()
        await until(lambda: self._polls() > before)

    def _polls(self) -> int:
        return sum(POLL in path for path in self._requests())

    def _requests(self) -> list[str]:
        lines = map(json.loads, self.stack.record.read_text().splitlines())
        return [f"{each['method']} {each['path']}" for each in lines]

    async def _cost(self, act: Act, acts: int, rest: Counts | None) -> Cost:
        processes, requests = await self._processes(), len(self._requests())
        async with self.counter.counting() as everything:
            await act()
        counts = (everything.beyond(rest) if rest else everything.without_checks()).each(acts)
        asked = [each for each in self._requests()[requests:] if not rest or POLL not in each]
        tasks = {each for each in asked if "/tasks/" in each}
        return Cost(
            statements=counts.statements,
            commits=counts.commits,
            messages=counts.messages,
            processes=(await self._processes() - processes) // acts,
            requests=(sum("/tasks/" not in each for each in asked) + len(tasks)) // acts,
        )

    async def _processes(self) -> int:
        answer = await self.lab.get(str(self.lab.base_url.copy_with(path="/lab/remote-processes")))
        return int(answer.raise_for_status().json()["data"])


@pytest.fixture
async def ground(stack: RunningStack, api: httpx.AsyncClient) -> AsyncIterator[Ground]:
    """The stack, whose PostgreSQL writes each statement to its log."""
    counter = Counter(stack)
    async with lab_of(stack.data) as lab, counter.logging():
        yield Ground(stack, api, counter, lab)


def over(act: str, cost: Cost) -> list[str]:
    """Name the counts that are above the budget."""
    budget = asdict(BUDGETS[act])
    return [
        f"{act}: {count} {name} instead of {budget[name]}"
        for name, count in asdict(cost).items()
        if count > budget[name]
    ]


async def test_creation_and_questions(ground: Ground) -> None:
    """A creation, a read and a list cost no more than their budgets."""
    created = []

    async def create_one() -> None:
        name = f"budget-{secrets.token_hex(4)}"
        accepted = await create(ground.api, template="debian-base", hostname=name)
        events = await job_events(ground.api, accepted["job"]["id"])
        assert events[-1].content["state"] == "succeeded", events[-1].text
        created.append(accepted["container"]["id"])
        await until(lambda: ground.counter.has_logged(LOG_STORED))

    async def ask(path: str) -> None:
        for _ in range(READS):
            (await ground.api.get(f"/api/v1/containers{path}")).raise_for_status()

    async with ground.counter.counting():
        await create_one()  # the first of a stack fetches the template
    rest = await ground.rest()
    costs = {
        "creation": await ground.least(create_one, rest=rest),
        "read": await ground.least(partial(ask, f"/{created[0]}"), acts=READS),
        "list": await ground.least(partial(ask, ""), acts=READS),
    }

    for container in created:
        await done(ground.api, f"containers/{container}/stop")
    assert [excess for act, cost in costs.items() for excess in over(act, cost)] == [], costs


async def test_poll(ground: Ground) -> None:
    """A poll of a cluster that nothing happens in costs no more than its budget, with what else goes on."""
    await ground.polled()

    cost = await ground.least(ground.polled)

    assert over("poll", cost) == [], cost
