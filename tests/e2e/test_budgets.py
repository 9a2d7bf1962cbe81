"""What a creation, a read, a list and a poll cost: counts that no change may raise unseen.

Counted are PostgreSQL's statements (also pings, begins and commits), its commits, the messages that the bus
stores, the programs that are begun over SSH and the requests to Proxmox. Polls and heartbeats go on
meanwhile, so each is counted a few times, and the least is held against the budget.
"""

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass

import httpx
import pytest

from support.counts import Counter
from support.lab import lab_of
from support.stack import RunningStack, create, done, job_events
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Counts of one act."""

    statements: float
    commits: float
    messages: float
    processes: float
    requests: float


BUDGETS = {
    "creation": Cost(statements=0, commits=0, messages=0, processes=0, requests=0),
    "read": Cost(statements=0, commits=0, messages=0, processes=0, requests=0),
    "list": Cost(statements=0, commits=0, messages=0, processes=0, requests=0),
    "poll": Cost(statements=0, commits=0, messages=0, processes=0, requests=0),
}
"""At most. One that is lowered by a change is lowered here too."""
TIMES = 3
READS = 20
"""Of one count: what happens meanwhile is a small part of each."""
POLL = "/cluster/resources"

Act = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where costs are counted."""

    stack: RunningStack
    api: httpx.AsyncClient
    counter: Counter
    lab: httpx.AsyncClient

    async def least(self, act: Act, *, acts: int = 1) -> Cost:
        """Act a few times; the least cost of one."""
        costs = [await self._cost(act, acts) for _ in range(TIMES)]
        fields = [asdict(each) for each in costs]
        return Cost(**{name: min(each[name] for each in fields) for name in fields[0]})

    def requests(self) -> list[str]:
        """Return the paths of all requests to Proxmox so far."""
        return [json.loads(line)["path"] for line in self.stack.record.read_text().splitlines()]

    async def polled(self) -> None:
        """Wait for the next poll, and what it causes at once."""
        before = sum(POLL in path for path in self.requests())
        await until(lambda: sum(POLL in path for path in self.requests()) > before)

    async def _cost(self, act: Act, acts: int) -> Cost:
        processes, requests = await self._processes(), len(self.requests())
        async with self.counter.counting() as counts:
            await act()
        return Cost(
            statements=len(counts.statements) // acts,
            commits=counts.commits // acts,
            messages=counts.messages // acts,
            processes=(await self._processes() - processes) // acts,
            requests=(len(self.requests()) - requests) // acts,
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


def over(act: str, cost: Cost) -> dict[str, str]:
    """Return the counts that are above the budget."""
    budget = asdict(BUDGETS[act])
    return {
        name: f"{count} of {budget[name]}" for name, count in asdict(cost).items() if count > budget[name]
    }


async def test_creation(ground: Ground) -> None:
    """A creation costs no more than its budget."""
    created = []

    async def create_one() -> None:
        accepted = await create(ground.api, template="debian-base", hostname=f"budget-{secrets.token_hex(4)}")
        events = await job_events(ground.api, accepted["job"]["id"])
        assert events[-1].content["state"] == "succeeded", events[-1].text
        created.append(accepted["container"]["id"])

    await create_one()  # the first of a stack fetches the template
    cost = await ground.least(create_one)

    for container in created:
        await done(ground.api, f"containers/{container}/stop")
    assert over("creation", cost) == {}, cost


@pytest.mark.parametrize("act", ["read", "list"])
async def test_question(ground: Ground, act: str) -> None:
    """A read and a list cost no more than their budgets."""
    accepted = await create(ground.api, template="debian-base", hostname=f"budget-{secrets.token_hex(4)}")
    await job_events(ground.api, accepted["job"]["id"])
    path = f"/api/v1/containers/{accepted['container']['id']}" if act == "read" else "/api/v1/containers"

    async def ask() -> None:
        for _ in range(READS):
            (await ground.api.get(path)).raise_for_status()

    cost = await ground.least(ask, acts=READS)

    assert over(act, cost) == {}, cost


async def test_poll(ground: Ground) -> None:
    """A poll of a cluster that nothing happens in costs no more than its budget, with what else goes on."""
    await ground.polled()

    cost = await ground.least(ground.polled)

    assert over("poll", cost) == {}, cost
