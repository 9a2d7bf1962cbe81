"""Which waiting jobs may start on a node now. Pure: the queue is an argument.

Fair between people: of those who wait, who has the fewest jobs running goes first, then who waits longest.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id


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
    free = max(0, limits.jobs - len(running))
    return tuple(islice(_turns(waiting, running, limits), free))


def order(waiting: Sequence[Entry], running: Sequence[Entry], limits: Limits) -> tuple[Entry, ...]:
    """Return the order in which waiting jobs start, by what is queued now.

    Creations for which there is no room now come after all that there is room for.
    """
    able = tuple(_turns(waiting, running, limits))
    late = set(waiting) - set(able)
    unlimited = replace(limits, creations=len(waiting) + len(running))
    return (*able, *_turns(tuple(late), (*running, *able), unlimited))


def _turns(waiting: Sequence[Entry], running: Sequence[Entry], limits: Limits) -> Iterator[Entry]:
    """Return who begins next, and next, as long as creations find room."""
    lines: dict[tuple[str, bool], deque[Entry]] = {}
    for entry in sorted(waiting, key=lambda each: each.job):
        lines.setdefault((entry.actor, entry.kind.creates_container), deque()).append(entry)
    share = Counter(entry.actor for entry in running)
    creating = sum(entry.kind.creates_container for entry in running)
    while True:
        heads = [
            line[0]
            for (_, makes), line in lines.items()
            if line and (not makes or creating < limits.creations)
        ]
        if not heads:
            return
        entry = min(heads, key=lambda each: (share[each.actor], each.job))
        lines[entry.actor, entry.kind.creates_container].popleft()
        share[entry.actor] += 1
        creating += entry.kind.creates_container
        yield entry
