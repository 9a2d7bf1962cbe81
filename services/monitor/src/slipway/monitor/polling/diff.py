"""Compare two observations of a cluster. Pure.

Only changes are published and stored: the cost grows with what happens, not with the number of guests.
A guest that is missing once may be an incomplete answer; it is gone when it is missing twice in a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from slipway.contracts.guests import GuestStatus
from slipway.contracts.values import Power

USAGE_STEP = 0.05
"""Share of the maximum by which a usage must change to be stored."""
MISSES_UNTIL_GONE = 2
STALE = timedelta(seconds=15)
"""How far a start may seem to shift: uptimes are up to ten seconds old (PVE 9.2, observed), and older where
pvestatd needs longer for its round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What to publish, what to store, and how often guests were missing."""

    changed: tuple[GuestStatus, ...] = ()
    """New, started again, or of another power, node, name, lock, tags or memory: published and stored."""
    usage_changed: tuple[GuestStatus, ...] = ()
    """Only the usage has changed: stored, not published."""
    gone: tuple[GuestStatus, ...] = ()
    """As they were last seen."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """How often in a row a guest was not in the answer, by its id."""


def compare(
    before: Mapping[str, GuestStatus],
    after: Mapping[str, GuestStatus],
    missing: Mapping[str, int],
    seen: Mapping[str, GuestStatus] = MappingProxyType({}),
) -> Difference:
    """Compare the stored state with a new observation.

    Args:
        before: the stored state; a guest's may be of long ago, if nothing but its uptime has changed since.
        after: the new observation.
        missing: how often guests were missing until now, by id.
        seen: the observation before; a start is seen by it, where there is one: between two polls an uptime
            can't lag by more than the time between them, however seldom the host looks at its guests.
    """
    misses = {guest: missing.get(guest, 0) + 1 for guest in before if guest not in after}
    pairs = [(before.get(guest), status) for guest, status in after.items()]
    changed = {
        status.id
        for old, status in pairs
        if old is None or identity(old) != identity(status) or _was_started(seen.get(status.id, old), status)
    }
    return Difference(
        changed=tuple(status for _, status in pairs if status.id in changed),
        usage_changed=tuple(
            status
            for old, status in pairs
            if old is not None and status.id not in changed and _has_usage_changed(old, status)
        ),
        gone=tuple(before[guest] for guest, times in misses.items() if times >= MISSES_UNTIL_GONE),
        missing={guest: times for guest, times in misses.items() if times < MISSES_UNTIL_GONE},
    )


def identity(status: GuestStatus) -> tuple[object, ...]:
    """Return the fields of a guest whose changes are published."""
    tags = tuple(sorted(status.tags or ()))
    return status.power, status.node, status.name, status.lock, tags, status.memory_max_bytes


def _was_started(old: GuestStatus, new: GuestStatus) -> bool:
    """Return whether a guest was started in between: a restart between two polls counts."""
    if new.power is not Power.RUNNING:
        return False
    shift = _started_at(new) - _started_at(old)
    return new.uptime_seconds < old.uptime_seconds or shift > STALE


def _started_at(status: GuestStatus) -> datetime:
    return status.observed_at - timedelta(seconds=status.uptime_seconds)


def _has_usage_changed(old: GuestStatus, new: GuestStatus) -> bool:
    return (
        abs(new.cpu - old.cpu) >= USAGE_STEP
        or _is_step(old.memory_bytes, new.memory_bytes, new.memory_max_bytes)
        or _is_step(old.disk_bytes, new.disk_bytes, new.disk_max_bytes)
    )


def _is_step(old: int, new: int, most: int) -> bool:
    return abs(new - old) >= USAGE_STEP * max(most, 1)
