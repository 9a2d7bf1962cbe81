"""Facts are published when they have changed enough."""

from datetime import UTC, datetime, timedelta

import pytest

from slipway.contracts.cluster_facts import NodeFacts, StorageFact
from slipway.monitor.facts.diff import is_worth_publishing, with_last_known
from slipway.monitor.facts.lasting import LastingFacts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
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
        (facts(parts_at={"storages": NOW + timedelta(minutes=1)}), False),
    ],
)
def test_tiny_changes_are_not_published(after: NodeFacts, is_published: bool) -> None:  # noqa: FBT001  an expected value
    """But everything is again after five minutes, so that its age is honest."""
    assert is_worth_publishing(facts(), after) is is_published


def test_a_part_that_was_not_answered_is_the_last_known_one_with_its_age() -> None:
    """The others are new, and newly dated."""
    last = facts(bridges=({"name": "vmbr0"},), parts_at={"bridges": NOW, "storages": NOW})
    later = NOW + timedelta(minutes=2)
    now = facts(free=1, parts_at={"storages": later}, observed_at=later)

    known = with_last_known(now, last)

    assert [each.name for each in known.bridges] == ["vmbr0"]
    assert known.storages[0].free_bytes == 1
    assert known.parts_at == {"bridges": NOW, "storages": later}


def test_what_seldom_changes_is_not_asked_for_again_soon() -> None:
    """Once somebody wants everything new, answers of before do not count."""
    lasting = LastingFacts()
    lasting.note(
        facts(appliances=("debian.tar.zst",), parts_at={"appliances": LONG_AGO, "storages": LONG_AGO})
    )

    fresh = lasting.fresh()
    lasting.forget()
    lasting.note(facts(appliances=("debian.tar.zst",), parts_at={"appliances": LONG_AGO}))

    assert fresh == {"pve1": {"appliances": ("debian.tar.zst",), "parts_at": {"appliances": LONG_AGO}}}
    assert lasting.fresh() == {}
