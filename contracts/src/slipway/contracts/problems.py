"""Errors, by who has to act.

`Rejected`: the caller's. `Unavailable`: time's. `Failed`: the operator's. `Superseded`: nobody's, the work
has a newer owner. Anything else is a bug of ours. Libraries and services subclass these and give each error
a stable `code`; on the wire an error is a `Problem`.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from slipway.contracts.checks import Check
from slipway.contracts.message import Value


class ProblemKind(StrEnum):
    """Whose move it is."""

    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    INTERNAL = "internal"


class Reason(StrEnum):
    """Why a request was rejected; decides the HTTP status."""

    INVALID = "invalid"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    FORBIDDEN = "forbidden"
    UNAUTHENTICATED = "unauthenticated"
    TOO_LARGE = "too-large"


class FieldError(Value):
    """One wrong input."""

    field: str
    """Where: `hostname`, `networks.0.ip`."""
    message: str
    """What is wrong and what would be right."""


class Problem(Value):
    """An error on the wire: in query replies, in run records, and as RFC 9457 details over HTTP."""

    kind: ProblemKind = ProblemKind.INTERNAL
    code: str
    """Stable, for programs: `container.not-found`."""
    message: str
    """For people: what happened, why, what to do. Never holds a secret."""
    reason: Reason | None = None
    """Set when rejected."""
    errors: tuple[FieldError, ...] = ()
    details: Mapping[str, str] = Field(default_factory=dict)
    """Structured fields: `{"vmid": "104"}`."""
    retry_after_seconds: float | None = None
    checks: tuple[Check, ...] = ()
    """Of a cluster that was tested: each check, and what became of it."""


class SlipwayError(Exception):
    """Any error Slipway foresees; raise a subclass."""

    kind: ClassVar[ProblemKind] = ProblemKind.INTERNAL
    code: str = "internal"

    def __init__(
        self, message: str, *, code: str | None = None, errors: Iterable[FieldError] = (), **details: object
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.errors = tuple(errors)
        self.details = {name: str(value) for name, value in details.items()}
        self.checks: tuple[Check, ...] = ()

    def to_problem(self) -> Problem:
        """Return this error as it goes over the wire."""
        return Problem(
            kind=self.kind,
            code=self.code,
            message=self.message,
            errors=self.errors,
            details=self.details,
            checks=self.checks,
        )


class Rejected(SlipwayError):
    """The request can't be done as it is; the caller's move."""

    kind = ProblemKind.REJECTED
    code = "rejected"
    reason: Reason = Reason.INVALID

    def to_problem(self) -> Problem:
        """Return this error with the reason that decides its HTTP status."""
        return super().to_problem().model_copy(update={"reason": self.reason})


class Invalid(Rejected):
    """Input that breaks a rule; names the fields."""

    code = "invalid"


class NotFound(Rejected):
    """There is no such thing."""

    code = "not-found"
    reason = Reason.NOT_FOUND


class Conflict(Rejected):
    """It clashes with what exists or runs."""

    code = "conflict"
    reason = Reason.CONFLICT


class Forbidden(Rejected):
    """The caller may not."""

    code = "forbidden"
    reason = Reason.FORBIDDEN


class Unauthenticated(Rejected):
    """The caller is not authenticated."""

    code = "unauthenticated"
    reason = Reason.UNAUTHENTICATED


class TooLarge(Rejected):
    """More than is taken in one request."""

    code = "too-large"
    reason = Reason.TOO_LARGE


class Unavailable(SlipwayError):
    """Not now; the same request may go through later."""

    kind = ProblemKind.UNAVAILABLE
    code = "unavailable"
    retry_after_seconds: float = 2.0

    def to_problem(self) -> Problem:
        """Return this error with the time after which to try again."""
        return super().to_problem().model_copy(update={"retry_after_seconds": self.retry_after_seconds})


class Failed(SlipwayError):
    """It was tried and it failed; an operator has to look."""

    kind = ProblemKind.FAILED
    code = "failed"


class Superseded(SlipwayError):
    """The work has a newer owner; the receiver stops at once and touches nothing."""

    kind = ProblemKind.SUPERSEDED
    code = "superseded"


_BY_KIND: Mapping[ProblemKind, type[SlipwayError]] = {
    each.kind: each for each in (Invalid, Unavailable, Failed, Superseded, SlipwayError)
}
_BY_REASON: Mapping[Reason | None, type[SlipwayError]] = {
    each.reason: each for each in (NotFound, Conflict, Forbidden, Unauthenticated, TooLarge)
}


def to_error(problem: Problem) -> SlipwayError:
    """Return the error that a problem from the wire stands for."""
    error_class = _BY_KIND[problem.kind]
    if error_class is Invalid:
        error_class = _BY_REASON.get(problem.reason, Invalid)
    error = error_class(problem.message, code=problem.code, errors=problem.errors)
    error.details = dict(problem.details)
    error.checks = problem.checks
    return error
