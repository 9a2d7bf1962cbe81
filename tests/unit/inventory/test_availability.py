"""Whether a VMID, a name or an address is free, and who has it if not."""

from datetime import UTC, datetime

import pytest

from slipway.contracts.cluster_facts import BridgeFact, NodeFacts, VmidRange
from slipway.contracts.clusters import Cluster
from slipway.contracts.form_facts import Availability, Holder
from slipway.inventory.clusters import availability

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NODE = NodeFacts(
    node="pve1",
    is_online=True,
    address="10.0.0.2",
    bridges=(BridgeFact(name="vmbr0", subnets=("10.0.0.1/24", "fd00::1/64")),),
    vmids=(100,),
    observed_at=NOON,
)
HOME = Cluster(
    id="c1",
    name="home",
    endpoint="https://pve1:8006",
    version="9",
    nodes=(NODE,),
    vmids=VmidRange(first=100, last=199),
    created_at=NOON,
)
WEB = Holder(kind="container", id="i1", vmid=101, name="web", node="pve1")


def outcome(answer: Availability) -> tuple[str, str | None]:
    return answer.state, answer.by.kind if answer.by else None


@pytest.mark.parametrize(
    ("text", "holder", "expected"),
    [
        ("150", None, ("free", None)),
        ("100", None, ("taken", "guest")),
        ("101", WEB, ("taken", "container")),
        ("99", None, ("invalid", None)),
        ("1e3", None, ("invalid", None)),
        ("\u0661\u0661\u0661", None, ("invalid", None)),
        ("9999999999", None, ("invalid", None)),
    ],
)
def test_vmids(text: str, holder: Holder | None, expected: tuple[str, str | None]) -> None:
    """Claims come first, then what was seen; what Proxmox would not take is invalid."""
    answer = availability.of_vmid(text, HOME, holder)

    assert outcome(answer) == expected
    assert bool(answer.remedy) is (answer.state != "free")


def test_a_vmid_outside_of_the_range_is_free_and_said_to_be_outside() -> None:
    """Whoever asks for one gets it."""
    answer = availability.of_vmid("300", HOME, None)

    assert (answer.state, "outside of 100 to 199" in answer.message) == ("free", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.5", ("free", None)),
        ("10.0.0.5/24", ("free", None)),
        ("10.0.0.1/24", ("taken", "bridge")),
        ("fd00:0::0001", ("taken", "bridge")),
        ("10.0.0.2", ("taken", "node")),
        ("10.0.0.0/24", ("invalid", None)),
        ("10.0.0.255/24", ("invalid", None)),
        ("10.0.0.255/31", ("free", None)),
        ("127.0.0.1", ("invalid", None)),
        ("10.0.0.5/255.255.255.0", ("invalid", None)),
        ("fe80::1%eth0", ("invalid", None)),
        ("web", ("invalid", None)),
    ],
)
def test_addresses(text: str, expected: tuple[str, str | None]) -> None:
    """Nodes and bridges hold theirs; a network and all of its hosts are no address of a host."""
    assert outcome(availability.of_address(text, HOME, None)) == expected


def test_names() -> None:
    """A name is refused as a creation would refuse it."""
    answers = [availability.of_hostname(*each) for each in (("web", WEB), ("db", None), ("-db", None))]

    assert [each.state for each in answers] == ["taken", "free", "invalid"]
    assert answers[0].message == "Container 101 (web) on pve1 has it."
