"""Which node a container goes to, and the next one of a batch."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.contracts.cluster_facts import BridgeFact, NodeFacts, StorageFact
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.values import Outage
from slipway.inventory.containers.defaults import FactsMissing
from slipway.inventory.containers.placement import after, choose_node

GIB = 1 << 30
DISK = 8


def node(name: str, free: int) -> NodeFacts:
    """Return a usable node with so many GiB free for disks."""
    storage = StorageFact(name="lvm", type="lvmthin", content=("rootdir",), free_bytes=free * GIB)
    seen = datetime(2026, 1, 1, tzinfo=UTC)
    return NodeFacts(node=name, is_online=True, is_ssh_usable=True, storages=(storage,), observed_at=seen)


@given(st.lists(st.integers(min_value=0, max_value=200), min_size=2, max_size=4), st.integers(1, 100))
def test_a_batch_is_spread(free: list[int], count: int) -> None:
    """Each goes where most is free once the others are there; nodes that are used end about equally full."""
    nodes = [node(f"pve{number}", each) for number, each in enumerate(free)]
    now = nodes
    for _ in range(count):
        chosen = choose_node(None, now)
        spec = ContainerSpec(hostname="a", node=chosen.node, storage="lvm", disk=DISK)
        now = after(now, spec)

    left = {each.node: (each.storages[0].free_bytes or 0) // GIB for each in now}
    taken = {each.node: (each.storages[0].free_bytes or 0) // GIB - left[each.node] for each in nodes}
    used = [left[name] for name, size in taken.items() if size]
    assert sum(taken.values()) == count * DISK
    assert max(left.values()) - min(used) <= DISK


def test_a_container_elsewhere_takes_nothing() -> None:
    """What it is not on stays as it was."""
    nodes = [node("pve1", 10), node("pve2", 20)]

    left = after(nodes, ContainerSpec(hostname="a", node="pve1", storage="other", disk=DISK))

    assert left == nodes


def in_outage(name: str, code: str, free: int = 50) -> NodeFacts:
    """Return a node with an outage that is otherwise the best one."""
    well = node(name, free)
    outage = Outage(code=code, since=well.observed_at, message=f"{name}: {code}.", remedy="Mend it.")
    return well.model_copy(update={"outage": outage})


@pytest.mark.parametrize("code", ["node.offline", "node.no-answer", "node.gone"])
def test_a_node_without_an_answer_is_not_chosen(code: str) -> None:
    """The last look decides, also about one that is named; what is wrong is reported."""
    away = in_outage("pve2", code)

    assert choose_node(None, [node("pve1", 1), away]).node == "pve1"
    with pytest.raises(FactsMissing, match=f"pve2: {code}. Mend it."):
        choose_node("pve2", [node("pve1", 1), away])
    with pytest.raises(FactsMissing, match=f"pve2: {code}."):
        choose_node(None, [away])


@pytest.mark.parametrize(
    "code", ["node.storages-unknown", "node.networks-unknown", "node.appliances-unknown"]
)
def test_a_node_of_which_something_is_old_is_chosen(code: str) -> None:
    """It lives; what was known of it last is good enough to try."""
    assert choose_node(None, [node("pve1", 1), in_outage("pve2", code)]).node == "pve2"


def test_a_node_with_the_bridge_goes_before_one_with_more_room() -> None:
    """On the other one the container would be refused."""
    bridged = node("pve1", 10).model_copy(update={"bridges": (BridgeFact(name="vmbr7"),)})

    assert choose_node(None, [bridged, node("pve2", 90)], bridges={"vmbr7"}) == bridged
