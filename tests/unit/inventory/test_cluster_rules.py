"""What a cluster and its nodes' host keys may be, reported with the field's name."""

from datetime import UTC, datetime

import pytest

from slipway.contracts.cluster_facts import ClusterFacts, NodeFacts
from slipway.contracts.clusters import ClusterSpec, SshNode
from slipway.inventory.clusters.rules import ClusterInvalid, HostKeyRefused, confirmed, refuse_unreached

KEY = f"ssh-ed25519 {'A' * 68}"
OTHER = f"ssh-ed25519 {'B' * 68}"
SPEC = ClusterSpec(name="home", endpoint="https://pve:8006", nodes={"pve1": SshNode(host_key=KEY)})


def facts(*, problem: str | None, shown: str | None = None) -> ClusterFacts:
    """What a connection test found of `pve2`."""
    node = NodeFacts(
        node="pve2",
        is_online=True,
        is_ssh_usable=problem is None,
        ssh_problem=problem,
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return ClusterFacts(version="9", nodes=(node,), offered_host_keys={"pve2": shown} if shown else {})


def test_a_confirmed_key_stands_beside_what_was_known() -> None:
    """Without its comment; the port that was given before stays."""
    spec = SPEC.model_copy(update={"nodes": {**SPEC.nodes, "pve2": SshNode(port=2222)}})

    nodes = confirmed(spec, "pve2", SshNode(host_key=f"{KEY} root@pve2")).nodes

    assert nodes == {"pve1": SshNode(host_key=KEY), "pve2": SshNode(host_key=KEY, port=2222)}


@pytest.mark.parametrize(
    ("node", "field"),
    [
        (SshNode(), "host_key"),
        (SshNode(host_key="pve2 " + KEY), "host_key"),
        (SshNode(host_key=KEY + "\n" + OTHER), "host_key"),
        (SshNode(host_key="ssh-ed25519 AAAA"), "host_key"),
        (SshNode(host_key=KEY, address="a b"), "address"),
        (SshNode(host_key=KEY, address="a\n"), "address"),
        (SshNode(host_key=KEY, port=0), "port"),
    ],
)
def test_what_is_no_key_is_named(node: SshNode, field: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ClusterInvalid) as refused:
        confirmed(SPEC, "pve2", node)

    assert [each.field for each in refused.value.errors] == [field]


def test_a_wrong_key_is_refused_with_the_one_that_is_shown() -> None:
    """A right one with a login that does not work is not blamed on the key."""
    refuse_unreached("pve2", KEY, facts(problem=None))
    with pytest.raises(HostKeyRefused, match="compare that") as other:
        refuse_unreached("pve2", KEY, facts(problem="another key.", shown=OTHER))
    with pytest.raises(HostKeyRefused) as login:
        refuse_unreached("pve2", KEY, facts(problem="no such login.", shown=KEY + " x"))

    assert (other.value.details["shown"], other.value.errors[0].field) == (OTHER, "host_key")
    assert login.value.message == "no such login."
