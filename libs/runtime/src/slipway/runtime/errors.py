"""The runtime's errors, and the conversion of any exception into a `Problem`."""

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
    """The bus is almost full: accepted work can end, nothing new is accepted."""

    code = "bus.full"
    retry_after_seconds = 30.0


class DiskFull(Unavailable):
    """The disk of the bus and the database is almost full: accepted work can end, nothing new is accepted."""

    code = "disk.full"
    retry_after_seconds = 30.0


class ServiceUnavailable(Unavailable):
    """The service does not run, or did not answer in time."""

    code = "service.unavailable"


class DeadlineExceeded(Unavailable):
    """The deadline of the request passed before there was an answer."""

    code = "deadline.exceeded"


class DatabaseUnavailable(Unavailable):
    """PostgreSQL did not answer, or closed the connection."""

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
    """The bus did not confirm a write: read the record again."""

    code = "bus.write-unknown"


class CursorUnknown(Invalid):
    """A list is to go on after something that is not there; its end would look like the list's."""

    code = "cursor.unknown"


def unknown_cursor(cursor: str) -> CursorUnknown:
    """Return the error that names the field."""
    message = (
        f"No page of this list ended at {cursor!r}, or what stood there is removed. Give the `next` of the "
        "page before, or begin without a cursor."
    )
    return CursorUnknown(message, errors=[FieldError(field="cursor", message=message)])


class LeaseHeld(Conflict):
    """Somebody else holds the lease."""

    code = "lease.held"


class SecretUnreadable(Failed):
    """A sealed secret can't be opened: wrong key, wrong owner or field, or tampered with."""

    code = "secret.unreadable"


def problem_of(error: BaseException) -> Problem:
    """Convert an exception to a problem; nothing of the text of an unexpected one is shown."""
    if isinstance(error, SlipwayError):
        return error.to_problem()
    return Problem(
        kind=ProblemKind.INTERNAL,
        code="internal",
        message="Slipway has an internal error; the logs have it under the correlation id.",
    )


def invalid(error: ValidationError) -> Invalid:
    """Return the error of an incoming message with its wrong fields, without their values."""
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    return Invalid(
        "The message does not match its schema.",
        errors=[FieldError(field=".".join(map(str, fault["loc"])), message=fault["msg"]) for fault in faults],
    )
