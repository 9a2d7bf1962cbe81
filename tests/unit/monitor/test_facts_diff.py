"""Facts are published when they have changed enough."""

from datetime import UTC, datetime, timedelta

import pytest

from slipway.contracts.cluster_facts import NodeFacts, StorageFact
from slipway.monitor.facts.diff import is_worth_publishing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1024**3


def facts(
    *, free: int = 50 * GIB, total: int = 100 * GIB, age: timedelta = timedelta(), **more: object
) -> NodeFacts:
    storage = StorageFact(name="local", type="dir", content=("rootdir",), free_bytes=free, total_bytes=total)
    values = {"node": "pve1", "is_online": True, "storages": (storage,), "observed_at": NOW + age} | more
    return NodeFacts.model_validate(values)


@pytest.mark.parametrize(
    ("after", "is_published"),
    [
        (facts(age=timedelta(seconds=15)), False),
        (facts(free=50 * GIB - 1000), False),
        (facts(free=48 * GIB), True),
        (facts(total=100 * GIB + 1), False),
        (facts(total=200 * GIB), True),
        (facts(age=timedelta(minutes=5)), True),
        (facts(vmids=(100,)), True),
        (facts(is_online=False), True),
        (facts(storages=()), True),
    ],
)
def test_tiny_changes_are_not_published(after: NodeFacts, is_published: bool) -> None:  # noqa: FBT001  an expected value
    """But everything is again after five minutes, so that its age is honest."""
    assert is_worth_publishing(facts(), after) is is_published
