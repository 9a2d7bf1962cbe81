"""What was not seen just now is shown with the time when it was."""

from datetime import UTC, datetime, timedelta

import pytest

from slipway.cli.freshness import is_live, outages_of, state_of

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
OUTAGE = {
    "code": "cluster.unreachable",
    "since": NOW.isoformat(),
    "message": "It does not answer.",
    "remedy": "See whether it runs.",
}


def test_a_state_has_its_age() -> None:
    """Fresh ones are shown plainly; others with the time of the last look, or that there was none."""
    recent, old = ((NOW - timedelta(seconds=age)).isoformat() for age in (5, 60))

    assert state_of("running", {"looked_at": recent}, NOW) == "running"
    assert state_of("running", {"looked_at": old}, NOW).startswith("running, last seen ")
    assert state_of("running", {"looked_at": None, "outage": OUTAGE}, NOW) == "running, not seen"
    assert state_of("running", {}, NOW) == "running"


def test_in_an_outage_a_state_is_sooner_the_past() -> None:
    """What stands still is not shown as if it were seen now."""
    seen = {"looked_at": (NOW - timedelta(seconds=9)).isoformat()}

    assert state_of("running", seen, NOW) == "running"
    assert state_of("running", {**seen, "outage": OUTAGE}, NOW).startswith("running, last seen ")


def test_an_outage_is_shown_with_its_remedy() -> None:
    """Of a cluster and of its nodes; the same one once."""
    nodes = [
        {"node": "pve1", "outage": OUTAGE},
        {"node": "pve2", "outage": {**OUTAGE, "code": "node.gone"}},
    ]
    sentences = [*outages_of([{"name": "home", "outage": OUTAGE, "nodes": nodes}])]

    assert [each.partition(":")[0] for each in sentences] == ["Cluster home", "Node pve2 of home"]
    assert "It does not answer. See whether it runs." in sentences[0]
    assert "cluster.unreachable" in sentences[0]


@pytest.mark.parametrize(
    ("lifecycle", "power", "expected"),
    [
        ("ready", "running", True),
        ("ready", "stopped", False),
        ("ready", "unknown", False),
        ("deleted", "running", False),
    ],
)
def test_only_what_runs_is_offered(lifecycle: str, power: str, expected: bool) -> None:  # noqa: FBT001
    """A link to anything else leads nowhere."""
    assert is_live({"lifecycle": lifecycle, "power": power}) is expected
