"""What `slipway access show` says of a cluster."""

from typing import Any

import pytest

from slipway.cli.tiers import access_of, beyond_key
from slipway.contracts.tiers import BOUND, TIERS, UNBOUND, Tier


def cluster(tier: Tier, *limits: str | None) -> dict[str, Any]:
    """Return a cluster as the API answers it, with a node for each of the limits."""
    nodes = [
        {"node": f"pve{number}", "is_ssh_usable": True, "ssh_limits": each}
        for number, each in enumerate(limits)
    ]
    return {"name": "home", "tier": str(tier), "nodes": nodes}


@pytest.mark.parametrize("tier", [Tier.OBSERVE, Tier.OPERATE])
def test_below_full_there_is_no_ssh(tier: Tier) -> None:
    """What is possible is that of the tier and of those before; what is not is the tier's own."""
    access = access_of(cluster(tier, None))

    included = [text for spec in TIERS.values() if tier.covers(spec.tier) for text in spec.theft.could]
    assert access["ssh"] == {}
    assert access["could"] == included
    assert access["could_not"] == list(TIERS[tier].theft.could_not)


@pytest.mark.parametrize(
    ("limits", "theft"),
    [(("vmids 100-199",), BOUND), ((None,), UNBOUND), (("vmids 100", None), UNBOUND), ((), UNBOUND)],
)
def test_at_full_the_weakest_node_counts(limits: tuple[str | None, ...], theft: object) -> None:
    """Only where each node that can be used binds the key it is bound; what is not known is not."""
    access = access_of(cluster(Tier.FULL, *limits))

    other = UNBOUND if theft is BOUND else BOUND
    texts = BOUND.could if theft is BOUND else UNBOUND.could
    assert set(texts) <= set(access["could"])
    assert set(other.could).isdisjoint(access["could"])


@pytest.mark.parametrize(
    ("limits", "own", "is_said"),
    [
        ("vmids 200-299", None, True),
        ("vmids 200-299 400", (200, 299), False),
        ("pool x; vmids 200-299 400", (300, 399), True),
        ("vmids 400", (400, 400), False),
        ("pool x", None, False),
        (None, None, False),
    ],
)
def test_vmids_that_the_key_may_not_enter_are_noted(
    limits: str | None, own: tuple[int, int] | None, *, is_said: bool
) -> None:
    """Unless what Slipway chooses from lies within one range that the key is bound to."""
    vmids = {"first": own[0], "last": own[1]} if own else None

    said = beyond_key({**cluster(Tier.FULL, limits, limits), "vmids": vmids})

    assert (said is not None) == is_said
