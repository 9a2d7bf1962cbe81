"""What an error means for a stored message, and for an HTTP request: two tables."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus

from slipway.contracts.problems import Problem, ProblemKind, Reason


class Settlement(StrEnum):
    """How a delivered message is settled."""

    ACK = "ack"
    """It is done; the bus forgets it."""
    DEAD_LETTER = "dead-letter"
    """It can't be handled: stored as a dead letter with the reason, then acknowledged."""
    RETRY = "retry"
    """It can't be handled now; the bus delivers it again after a delay."""
    LEAVE = "leave"
    """A newer owner has it; nothing is answered."""


SETTLEMENTS: Mapping[ProblemKind, Settlement] = {
    ProblemKind.REJECTED: Settlement.DEAD_LETTER,
    ProblemKind.FAILED: Settlement.DEAD_LETTER,
    ProblemKind.UNAVAILABLE: Settlement.RETRY,
    ProblemKind.INTERNAL: Settlement.RETRY,
    ProblemKind.SUPERSEDED: Settlement.LEAVE,
}
"""A bug is retried a few times only: `bus.consumer` makes it a dead letter then."""

REASONS: Mapping[Reason, HTTPStatus] = {
    Reason.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Reason.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Reason.CONFLICT: HTTPStatus.CONFLICT,
    Reason.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Reason.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Reason.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}

STATUSES: Mapping[ProblemKind, HTTPStatus] = {
    ProblemKind.REJECTED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ProblemKind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ProblemKind.FAILED: HTTPStatus.BAD_GATEWAY,
    ProblemKind.SUPERSEDED: HTTPStatus.CONFLICT,
    ProblemKind.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def http_status(problem: Problem) -> HTTPStatus:
    """Return the HTTP status of a problem."""
    if problem.kind is ProblemKind.REJECTED and problem.reason is not None:
        return REASONS[problem.reason]
    return STATUSES[problem.kind]
