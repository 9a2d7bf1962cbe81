"""How a refusal of the API is reported."""

import pytest

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
