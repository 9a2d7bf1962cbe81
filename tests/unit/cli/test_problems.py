"""How a refusal of the API is reported."""

from slipway.client.transport import ApiProblem


def test_a_fault_is_reported_once() -> None:
    """A message that is made of its faults is not followed by them again."""
    taken = "There is a container 'web' already."
    problem = {
        "code": "hostname.taken",
        "message": taken,
        "errors": [{"field": "hostname", "message": taken}],
    }

    assert str(ApiProblem(409, problem)) == f"{taken} (hostname.taken)"


def test_a_fault_that_the_message_leaves_out_is_added() -> None:
    """With its field."""
    problem = {
        "code": "invalid",
        "message": "The request is wrong.",
        "errors": [{"field": "a", "message": "It is 1."}],
    }

    assert str(ApiProblem(422, problem)) == "The request is wrong.; a: It is 1. (invalid)"
