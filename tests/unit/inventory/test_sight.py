"""What is shown by what monitor saw last: how old it is, and what is wrong."""

from datetime import UTC, datetime, timedelta

import pytest

from slipway.contracts.cluster_facts import ClusterLook, NodeFacts, NodeLook, StorageFact, VmidRange
from slipway.contracts.clusters import Cluster
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Container
from slipway.contracts.values import Lifecycle, Outage, Power
from slipway.inventory.containers import sight
from slipway.inventory.containers.sight import Sight

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MORNING = NOON - timedelta(hours=4)


def outage(code: str) -> Outage:
    return Outage(code=code, since=NOON, message="It is so.", remedy="Do this.")


def look(**changes: object) -> ClusterLook:
    """A look at noon, at one node with one container."""
    node = NodeLook(node="pve1", looked_at=NOON, storages_at=NOON)
    values: dict[str, object] = {
        "cluster": "c1",
        "at": NOON,
        "every_seconds": 2.0,
        "looked_at": NOON,
        "nodes": (node,),
        "guests": (VmidRange(first=100, last=100),),
    }
    return ClusterLook.model_validate(values | changes)


def sight_of(seen: ClusterLook | None, silence: Outage | None = None) -> Sight:
    vmids = sight.vmids_of(seen) if seen else frozenset()
    return Sight(look=seen, vmids=vmids, silence=silence)


STORAGE = StorageFact(name="local", type="dir", content=("rootdir",), looked_at=MORNING)
NODE = NodeFacts(node="pve1", is_online=True, storages=(STORAGE,), observed_at=MORNING)
CLUSTER = Cluster(
    id="c1", name="home", endpoint="https://pve1:8006", version="9", nodes=(NODE,), created_at=MORNING
)
CONTAINER = Container(
    id="k1",
    vmid=100,
    hostname="web",
    cluster="home",
    cluster_id="c1",
    node="pve1",
    lifecycle=Lifecycle.READY,
    power=Power.RUNNING,
    observed_at=MORNING,
    spec=ContainerSpec(hostname="web"),
    created_at=MORNING,
    updated_at=MORNING,
)


def test_what_is_well_is_as_old_as_the_last_look() -> None:
    """The time of the last change stays what it is."""
    cluster = sight.cluster_seen(CLUSTER, sight_of(look()))
    container = sight.container_seen(CONTAINER, sight_of(look()), left_at=None)

    assert (cluster.looked_at, cluster.outage) == (NOON, None)
    assert (cluster.nodes[0].looked_at, cluster.nodes[0].observed_at) == (NOON, MORNING)
    assert cluster.nodes[0].storages[0].looked_at == NOON
    assert (container.looked_at, container.outage) == (NOON, None)


def test_before_the_first_look_nothing_is_claimed() -> None:
    """Null is honest."""
    cluster = sight.cluster_seen(CLUSTER, sight_of(None))
    container = sight.container_seen(CONTAINER, sight_of(None), left_at=None)

    assert (cluster.looked_at, cluster.outage, cluster.nodes[0].outage) == (None, None, None)
    assert (container.looked_at, container.outage) == (None, None)


@pytest.mark.parametrize(
    "code", ["cluster.no-answer", "cluster.credentials-refused", "cluster.certificate-changed"]
)
def test_what_blinds_a_cluster_is_reported_for_all_in_it(code: str) -> None:
    """Nodes and containers are as they were last; their age says when that was."""
    seen = sight_of(look(outage=outage(code), looked_at=MORNING))

    cluster = sight.cluster_seen(CLUSTER, seen)
    container = sight.container_seen(CONTAINER, seen, left_at=None)

    assert [each.outage for each in (cluster, cluster.nodes[0], container)] == [outage(code)] * 3
    assert (cluster.looked_at, container.looked_at) == (MORNING, MORNING)


def test_a_silent_monitor_is_reported_for_all() -> None:
    """Whatever it had reported before."""
    silent = sight.silence("home", NOON, has_looked=True)

    cluster = sight.cluster_seen(CLUSTER, sight_of(look(), silent))
    container = sight.container_seen(CONTAINER, sight_of(look(), silent), left_at=None)

    assert cluster.outage == cluster.nodes[0].outage == container.outage == silent
    assert (cluster.looked_at, container.looked_at) == (NOON, NOON)


def test_missing_rights_concern_who_is_not_shown() -> None:
    """A container that is shown is well; one that is not was seen when it was last."""
    lacking = outage("cluster.privilege-missing")
    seen = sight_of(look(outage=lacking))
    other = CONTAINER.model_copy(update={"vmid": 101})

    shown = sight.container_seen(CONTAINER, seen, left_at=None)
    hidden = sight.container_seen(other, seen, left_at=MORNING)

    assert (shown.outage, shown.looked_at) == (None, NOON)
    assert (hidden.outage, hidden.looked_at) == (lacking, MORNING)
    assert sight.cluster_seen(CLUSTER, seen).nodes[0].outage is None


def test_a_node_that_is_away_makes_its_containers_old() -> None:
    """The list has a row of them still: it says nothing of now."""
    away = NodeLook(
        node="pve1", is_online=False, looked_at=MORNING, storages_at=MORNING, outage=outage("node.offline")
    )
    seen = sight_of(look(nodes=(away,)))

    node = sight.cluster_seen(CLUSTER, seen).nodes[0]
    container = sight.container_seen(CONTAINER, seen, left_at=None)

    assert (node.is_online, node.outage) == (False, away.outage)
    assert (container.outage, container.looked_at) == (away.outage, MORNING)


def test_what_is_not_known_of_a_node_is_no_outage_of_its_containers() -> None:
    """They run and are seen, whatever its storages do."""
    slow = NodeLook(node="pve1", looked_at=NOON, storages_at=MORNING, outage=outage("node.storages-unknown"))
    seen = sight_of(look(nodes=(slow,)))

    node = sight.cluster_seen(CLUSTER, seen).nodes[0]

    assert (node.is_online, node.storages[0].looked_at) == (True, MORNING)
    assert sight.container_seen(CONTAINER, seen, left_at=None).outage is None


def test_a_node_that_its_cluster_does_not_have_is_gone() -> None:
    """So are its containers' chances of being seen there."""
    seen = sight_of(look(nodes=(NodeLook(node="pve9"),)))

    node = sight.cluster_seen(CLUSTER, seen).nodes[0]
    container = sight.container_seen(CONTAINER, seen, left_at=None)

    assert node.outage is not None
    assert container.outage is not None
    assert (node.is_online, node.outage.code, container.outage.code) == (False, "node.gone", "node.gone")
    assert sight.is_away(node)


@pytest.mark.parametrize(("minutes", "is_over"), [(1, False), (14, False), (15, True)])
def test_a_gone_node_is_shown_for_a_while(minutes: int, *, is_over: bool) -> None:
    """Then it is dropped."""
    seen = NODE.model_copy(
        update={"observed_at": NOON + timedelta(minutes=minutes), "outage": outage("node.gone")}
    )

    assert sight.is_over(seen) is is_over
    assert not sight.is_over(seen.model_copy(update={"outage": outage("node.offline")}))


def test_what_a_test_could_not_ask_stays_as_it_was_known() -> None:
    """A slow storage must not cost a node its storages because somebody rotates a token."""
    seen = NODE.model_copy(update={"storages": (), "observed_at": NOON})

    stored = sight.over_stored(seen, NODE)

    assert (stored.storages, stored.observed_at) == ((STORAGE,), NOON)
