"""Errors that name the fields of a request: a form shows them beside its inputs. Pure."""

from collections.abc import Iterable
from typing import TypeVar

from slipway.contracts.problems import FieldError, SlipwayError

ErrorT = TypeVar("ErrorT", bound=SlipwayError)


def at(field: str, error: type[ErrorT], message: str, **details: str) -> ErrorT:
    """Return an error that names a field."""
    return error(message, errors=[FieldError(field=field, message=message)], **details)


def refuse(error: type[SlipwayError], faults: Iterable[FieldError]) -> None:
    """Raise an error with all faults together, if there are any."""
    errors = tuple(faults)
    if errors:
        raise error("; ".join(f"{each.field}: {each.message}" for each in errors), errors=errors)
