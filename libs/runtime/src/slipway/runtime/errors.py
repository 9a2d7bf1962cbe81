"""Errors of the runtime itself, and how any exception becomes a `Problem`."""

from pydantic import ValidationError

from slipway.contracts.problems import (
    Conflict,
    Failed,
    FieldError,
    Invalid,
    Problem,
    ProblemKind,
    SlipwayError,
    Unavailable,
)


class BusUnavailable(Unavailable):
    """The bus did not answer in time."""

    code = "bus.unavailable"


class BusFull(BusUnavailable):
    """The bus keeps almost as much as it may: what was accepted can end, nothing new is accepted."""

    code = "bus.full"
    retry_after_seconds = 30.0


class ServiceUnavailable(Unavailable):
    """The service that was asked is not there or did not answer in time."""

    code = "service.unavailable"


class DeadlineExceeded(Unavailable):
    """The asker's deadline passed before there was an answer."""

    code = "deadline.exceeded"


class DatabaseUnavailable(Unavailable):
    """PostgreSQL did not answer, or broke off."""

    code = "database.unavailable"


class TopologyMissing(Unavailable):
    """A stream, consumer or bucket is not declared yet; `slipway topology apply` does it."""

    code = "topology.missing"
    retry_after_seconds = 5.0


class WriteRefused(Unavailable):
    """The bus refused a write because the expected sequence was not the last one.

    Whether an earlier try of this very write was stored is unknown: read the record again.
    """

    code = "bus.write-refused"


class WriteUnknown(Unavailable):
    """The bus did not say whether it stored a write: read the record again."""

    code = "bus.write-unknown"


class LeaseHeld(Conflict):
    """Somebody else holds the lease."""

    code = "lease.held"


class SecretUnreadable(Failed):
    """A sealed secret can't be opened: wrong key, wrong owner or field, or tampered with."""

    code = "secret.unreadable"


def problem_of(error: BaseException) -> Problem:
    """Say an exception as a problem; of a bug only that there was one, nothing of its text."""
    if isinstance(error, SlipwayError):
        return error.to_problem()
    return Problem(
        kind=ProblemKind.INTERNAL,
        code="internal",
        message="Slipway met an error of its own; the logs have it under the correlation id.",
    )


def invalid(error: ValidationError) -> Invalid:
    """Say which fields of an incoming message are wrong, without their values."""
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    return Invalid(
        "The message does not have the shape it must have.",
        errors=[FieldError(field=".".join(map(str, fault["loc"])), message=fault["msg"]) for fault in faults],
    )
