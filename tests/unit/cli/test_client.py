"""What the command says of a refusal."""

from slipway.client.api import ApiProblem


def test_a_fault_is_said_once() -> None:
    """A message that is made of its faults is not followed by them again."""
    taken = "There is a container 'web' already."
    problem = {
        "code": "hostname.taken",
        "message": taken,
        "errors": [{"field": "hostname", "message": taken}],
    }

    assert str(ApiProblem(409, problem)) == f"{taken} (hostname.taken)"


def test_a_fault_that_the_message_leaves_out_is_said() -> None:
    """With its field."""
    problem = {
        "code": "invalid",
        "message": "The request is wrong.",
        "errors": [{"field": "a", "message": "It is 1."}],
    }

    assert str(ApiProblem(422, problem)) == "The request is wrong.; a: It is 1. (invalid)"
