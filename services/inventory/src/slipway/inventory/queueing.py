"""Which waiting jobs may start on a node now. Pure: the queue is an argument.

Fair between people: of those who wait, who has the fewest jobs running goes first, then who waits longest.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.contracts.message import Id
from slipway.contracts.values import JobKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A job of a node that waits or runs; ids are in the order of acceptance."""

    job: Id
    kind: JobKind
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one node does at a time."""

    jobs: int
    creations: int
    """Creations weigh more than the rest: they unpack, download and install."""


def choose(waiting: Sequence[Entry], running: Sequence[Entry], limits: Limits) -> tuple[Entry, ...]:
    """Choose which waiting jobs start now, in their order."""
    left = sorted(waiting, key=lambda entry: entry.job)
    busy = list(running)
    chosen: list[Entry] = []
    while len(busy) < limits.jobs:
        share = Counter(entry.actor for entry in busy)
        creating = sum(entry.kind.makes for entry in busy)
        able = [each for each in left if not each.kind.makes or creating < limits.creations]
        if not able:
            break
        entry = min(able, key=lambda each: (share[each.actor], each.job))
        left.remove(entry)
        busy.append(entry)
        chosen.append(entry)
    return tuple(chosen)
