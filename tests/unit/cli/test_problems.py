"""How a refusal of the API is reported."""

import pytest

from slipway.cli.errors import CommandFailed, explanation
from slipway.cli.nodes import cluster_with
from slipway.client.transport import ApiProblem


@pytest.mark.parametrize(
    ("message", "report"),
    [
        ("It is taken.", "hostname: It is taken."),
        ("hostname: It is taken.", "hostname: It is taken."),
        ("No room: It is taken. Choose another.", "No room: It is taken. Choose another."),
    ],
)
def test_a_fault_is_reported_once(message: str, report: str) -> None:
    """A message that is made of its faults is not followed by them again; the field is named."""
    problem = {
        "code": "hostname.taken",
        "message": message,
        "errors": [{"field": "hostname", "message": "It is taken."}],
    }

    assert str(ApiProblem(409, problem)) == f"{report} (hostname.taken)"


@pytest.mark.parametrize("message", ["a: It is 1.; b: It is 2.", "It is 1.; It is 2."])
def test_several_faults_are_reported_once(message: str) -> None:
    """Each with its field, however the message lists them."""
    errors = [{"field": "a", "message": "It is 1."}, {"field": "b", "message": "It is 2."}]

    problem = ApiProblem(422, {"code": "invalid", "message": message, "errors": errors})

    assert str(problem) == "a: It is 1.; b: It is 2. (invalid)"


def test_a_fault_that_the_message_leaves_out_is_added() -> None:
    """With its field."""
    problem = {
        "code": "invalid",
        "message": "The request is wrong.",
        "errors": [{"field": "a", "message": "It is 1."}],
    }

    assert str(ApiProblem(422, problem)) == "The request is wrong. a: It is 1. (invalid)"


@pytest.mark.parametrize(
    ("node", "message"),
    [("pve9", "no node 'pve9'. Known ones: pve1, pve2."), ("pve1", "in these clusters: home, lab.")],
)
def test_a_node_that_is_not_one_is_refused_with_those_that_are(node: str, message: str) -> None:
    """An unknown one with the nodes, an ambiguous one with its clusters."""
    clusters = [
        {"name": "home", "nodes": [{"node": "pve1"}, {"node": "pve2"}]},
        {"name": "lab", "nodes": [{"node": "pve1"}]},
    ]

    with pytest.raises(CommandFailed) as refused:
        cluster_with(node, clusters)

    assert message in str(refused.value)
    assert cluster_with("pve2", clusters) == "home"


@pytest.mark.parametrize(
    ("message", "advice"), [("There is none.", True), ("Add one: `slipway cluster connect ADDRESS`.", False)]
)
def test_advice_is_given_once(message: str, advice: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A message that names the command already is left as it is."""
    line = explanation(ApiProblem(404, {"code": "cluster.not-found", "message": message})) or ""

    assert ("`slipway clusters` lists" in line) is advice
    assert message in line
