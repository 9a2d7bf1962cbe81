"""Asks hosts for obstacles to the items of a batch: each item is explained like a job of its own.

A lock, protection, HA, a snapshot of the name: only the host knows them. The looks are bounded in number,
in how many there are at once, and in time; a warning says what was left out.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from datetime import timedelta

from slipway.contracts.jobs import RunJob, Target
from slipway.contracts.message import Id
from slipway.contracts.plans import ExplainRun
from slipway.contracts.problems import SlipwayError, Unavailable
from slipway.runtime.bus.client import Bus

MOST_LOOKED_AT = 50
AT_ONCE = 4
ASK_HOSTS_WITHIN = timedelta(seconds=8)
"""Of all looks together: well within what the plan's own question waits for."""
MOST_LINES = 20
MOST_NAMED = 10


async def warnings(bus: Bus, commands: Sequence[RunJob]) -> tuple[str, ...]:
    """Return warnings about obstacles to the items' jobs on their hosts now; equal ones are joined."""
    turns = asyncio.Semaphore(AT_ONCE)
    seen: dict[Id, tuple[str, ...]] = {}

    async def look(command: RunJob) -> None:
        # A host that can't be asked now leaves its items unseen.
        async with turns:
            with contextlib.suppress(Unavailable):
                seen[command.job] = await _explained(bus, command)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ASK_HOSTS_WITHIN.total_seconds()), asyncio.TaskGroup() as group:
            for command in commands[:MOST_LOOKED_AT]:
                group.create_task(look(command))
    lines = [(each.target, seen[each.job]) for each in commands if each.job in seen]
    return tuple(_lines(lines, unseen=len(commands) - len(seen)))


async def _explained(bus: Bus, command: RunJob) -> tuple[str, ...]:
    """Return the warnings of one item."""
    try:
        explained = await bus.ask(ExplainRun(command=command))
    except Unavailable:
        raise
    except SlipwayError as error:
        return (f"it would fail: {error.message}",)
    fails = [each.message or each.name for each in explained.steps if each.effect == "fails"]
    return (*(f"it would fail: {reason}" for reason in fails), *explained.warnings)


def _lines(seen: Sequence[tuple[Target, Sequence[str]]], *, unseen: int) -> Iterator[str]:
    named: dict[str, list[str]] = {}
    for target, lines in seen:
        for each in dict.fromkeys(lines):
            named.setdefault(each, []).append(f"{target.hostname} ({target.vmid})")
    for line, names in [*named.items()][:MOST_LINES]:
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        yield f"{', '.join(names[:MOST_NAMED])}{more}: {line}"
    if len(named) > MOST_LINES:
        yield f"{len(named) - MOST_LINES} more warnings are not shown; plan their containers one by one."
    if unseen:
        bounds = f"that is done for {MOST_LOOKED_AT} at most, within {ASK_HOSTS_WITHIN.seconds} s"
        yield f"{unseen} of them were not looked at on their hosts: {bounds}."
