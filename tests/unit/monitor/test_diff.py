"""Only changes are reported."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway.contracts.guests import GuestStatus
from slipway.contracts.values import Power
from slipway.monitor.polling.diff import compare


def guest(**changes: Any) -> GuestStatus:
    """Return a running guest."""
    usual = {
        "id": "k1-100",
        "cluster": "k1",
        "node": "pve1",
        "vmid": 100,
        "name": "web-1",
        "power": Power.RUNNING,
        "memory_bytes": 100,
        "memory_max_bytes": 1000,
        "observed_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return GuestStatus.model_validate(usual | changes)


def seen(*guests: GuestStatus) -> dict[str, GuestStatus]:
    """Return an observation."""
    return {one.id: one for one in guests}


def test_same_fleet_is_silent() -> None:
    """A later look at the same state is no change."""
    later = guest(observed_at=datetime(2026, 1, 2, tzinfo=UTC), uptime_seconds=86_391)

    difference = compare(seen(guest()), seen(later), {})

    assert (difference.changed, difference.usage_changed, difference.gone) == ((), (), ())


@pytest.mark.parametrize(
    "changes",
    [
        {"power": "stopped"},
        {"node": "pve2"},
        {"name": "x"},
        {"lock": "backup"},
        {"tags": ("web",)},
        {"memory_max_bytes": 2000},
    ],
)
def test_change_is_reported_once(changes: dict[str, Any]) -> None:
    """It is in `changed`, not also in `moved`."""
    difference = compare(seen(guest()), seen(guest(**changes, memory_bytes=900)), {})

    assert len(difference.changed) == 1
    assert difference.usage_changed == ()


@pytest.mark.parametrize(
    ("after", "uptime", "expected"),
    [(2, 102, 0), (12, 102, 0), (2, 1, 1), (120, 100, 1), (120, 115, 1)],
    ids=["goes on", "reported ten seconds late", "just now", "a while ago", "up for longer than before"],
)
def test_a_start_between_two_looks_is_reported(after: int, uptime: int, expected: int) -> None:
    """Whoever started it again: it may have another address, and settings that waited for that."""
    first = guest(uptime_seconds=100)
    second = guest(uptime_seconds=uptime, observed_at=first.observed_at + timedelta(seconds=after))

    assert len(compare(seen(first), seen(second), {}).changed) == expected


def test_uptimes_that_stand_still_for_long_are_no_start() -> None:
    """Where pvestatd needs half a minute for a round, uptimes jump; a restart is still seen at once."""
    first = guest(uptime_seconds=1000)
    polls = [
        guest(observed_at=first.observed_at + timedelta(seconds=6 * number), uptime_seconds=uptime)
        for number, uptime in enumerate([1000, 1000, 1000, 1000, 1000, 1030, 1030, 12])
    ]

    pairs = itertools.pairwise(polls)
    changed = [bool(compare(seen(first), seen(new), {}, seen(old)).changed) for old, new in pairs]

    assert changed == [False] * 6 + [True]


@pytest.mark.parametrize(("memory", "moved"), [(110, 0), (150, 1), (40, 1)])
def test_usage_is_stored_when_it_moved(memory: int, moved: int) -> None:
    """Five per cent of the maximum."""
    assert len(compare(seen(guest()), seen(guest(memory_bytes=memory)), {}).usage_changed) == moved


def test_guest_is_gone_when_it_is_missing_twice() -> None:
    """One incomplete answer deletes nobody."""
    first = compare(seen(guest()), {}, {})
    second = compare(seen(guest()), {}, first.missing)

    assert (first.gone, first.missing) == ((), {"k1-100": 1})
    assert second.gone == (guest(),)


def test_guest_that_comes_back_is_forgiven() -> None:
    """Misses count in a row only."""
    assert compare(seen(guest()), seen(guest()), {"k1-100": 1}).missing == {}
