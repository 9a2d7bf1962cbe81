"""What a form chooses from: of what all nodes say alike the newest, of each node its own."""

from datetime import UTC, datetime

from slipway.contracts.cluster_facts import NodeFacts, StorageFact, VnetFact
from slipway.contracts.clusters import Cluster
from slipway.inventory.clusters.form_facts import form_facts

MORNING, NOON = datetime(2026, 1, 1, 6, tzinfo=UTC), datetime(2026, 1, 1, 12, tzinfo=UTC)


def node(name: str, **changes: object) -> NodeFacts:
    """Return a node that is online."""
    return NodeFacts.model_validate({"node": name, "is_online": True, "observed_at": NOON, **changes})


def home(*nodes: NodeFacts) -> Cluster:
    """Return a cluster of these."""
    return Cluster(
        id="c1",
        name="home",
        endpoint="https://a:8006",
        version="9",
        nodes=nodes,
        in_maintenance=("b",),
        created_at=MORNING,
    )


def test_vnets_and_pools_are_those_of_the_node_that_answered_last() -> None:
    """One that has never answered about them does not count, however new its other facts are."""
    old = node(
        "a", pools=("x",), vnets=(VnetFact(name="old"),), parts_at={"pools": MORNING, "vnets": MORNING}
    )
    new = node("b", vnets=(VnetFact(name="new"),), parts_at={"vnets": NOON})

    facts = form_facts(home(old, new, node("c")), 100)

    assert [each.name for each in facts.vnets] == ["new"]
    assert [each.name for each in facts.pools] == ["x"]
    assert [each.in_maintenance for each in facts.nodes] == [False, True, False]
    assert set(facts.nodes[2].unknown) >= {"storages", "devices"}


def test_storages_come_by_content_with_the_most_free_space_first() -> None:
    """One that is not active is not chosen."""
    storages = tuple(
        StorageFact(name=name, type="dir", content=("rootdir",), is_active=name != "off", free_bytes=free)
        for name, free in (("small", 1), ("off", 9), ("large", 5), ("unknown", None))
    )

    (shown,) = form_facts(home(node("a", storages=storages)), None).nodes

    assert shown.storages_for == {"rootdir": ("large", "small", "unknown")}
