"""What changed between two observations of a cluster. Pure.

Only changes are told and stored: the cost grows with what happened, not with the fleet. A guest that is
missing once may be an incomplete answer; it is gone when it is missing twice in a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from slipway.contracts.guests import GuestStatus
from slipway.contracts.values import Power

USAGE_STEP = 0.05
"""Share of the maximum by which a usage must move to be worth a write."""
MISSES_UNTIL_GONE = 2
STALE = timedelta(seconds=15)
"""By how much a start may seem to move: uptimes are up to ten seconds old (PVE 9.2, observed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What to tell, what to store, and who has been missed how often."""

    changed: tuple[GuestStatus, ...] = ()
    """New, started again, or of another power, node, name, lock, tags or memory: told and stored."""
    moved: tuple[GuestStatus, ...] = ()
    """Only the usage moved: stored, not told."""
    gone: tuple[GuestStatus, ...] = ()
    """As they were last seen."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """Guest id to how often in a row it was not in the answer."""


def compare(
    before: Mapping[str, GuestStatus], after: Mapping[str, GuestStatus], missing: Mapping[str, int]
) -> Difference:
    """Compare what is stored with what was just seen."""
    misses = {guest: missing.get(guest, 0) + 1 for guest in before if guest not in after}
    known = [(before.get(guest), status) for guest, status in after.items()]
    told = {status.id for old, status in known if old is None or has_changed(old, status)}
    return Difference(
        changed=tuple(status for _, status in known if status.id in told),
        moved=tuple(
            status
            for old, status in known
            if old is not None and status.id not in told and _has_moved(old, status)
        ),
        gone=tuple(before[guest] for guest, times in misses.items() if times >= MISSES_UNTIL_GONE),
        missing={guest: times for guest, times in misses.items() if times < MISSES_UNTIL_GONE},
    )


def identity(status: GuestStatus) -> tuple[object, ...]:
    """Give what of a guest is told when it changes."""
    tags = tuple(sorted(status.tags or ()))
    return status.power, status.node, status.name, status.lock, tags, status.memory_max_bytes


def has_changed(old: GuestStatus, new: GuestStatus) -> bool:
    """Whether a guest is worth telling: also one that was started again between two looks."""
    return identity(old) != identity(new) or _was_started(old, new)


def _was_started(old: GuestStatus, new: GuestStatus) -> bool:
    if new.power is not Power.RUNNING:
        return False
    moved = _started_at(new) - _started_at(old)
    return new.uptime_seconds < old.uptime_seconds or moved > STALE


def _started_at(status: GuestStatus) -> datetime:
    return status.observed_at - timedelta(seconds=status.uptime_seconds)


def _has_moved(old: GuestStatus, new: GuestStatus) -> bool:
    return (
        abs(new.cpu - old.cpu) >= USAGE_STEP
        or _moved(old.memory_bytes, new.memory_bytes, new.memory_max_bytes)
        or _moved(old.disk_bytes, new.disk_bytes, new.disk_max_bytes)
    )


def _moved(old: int, new: int, most: int) -> bool:
    return abs(new - old) >= USAGE_STEP * max(most, 1)
