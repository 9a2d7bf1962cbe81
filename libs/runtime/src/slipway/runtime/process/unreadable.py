"""Fields that a service could not read in a host's answers: each is counted, and logged once.

Only the field's name and the type of its value are logged: the value itself may be a secret.
"""

from typing import Protocol

from slipway.runtime.process import metrics
from slipway.runtime.process.logs import get_logger

log = get_logger()

MOST_LOGGED = 500
"""Different fields that are logged; a completely odd answer is not worth more."""


class LeftOut(Protocol):
    """A row or a value that could not be read."""

    @property
    def endpoint(self) -> str:
        """The path of the request, without names of nodes and the like."""

    @property
    def value(self) -> str | None:
        """The field's name; None for a whole row."""

    @property
    def found(self) -> str:
        """The type of its value."""


class UnreadableLog:
    """Counts and logs unreadable fields."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, str | None]] = set()

    def note(self, left_out: LeftOut) -> None:
        """Count a field, and log it if it is the first of its kind."""
        metrics.proxmox_unreadable.labels(left_out.endpoint).inc()
        key = (left_out.endpoint, left_out.value)
        if key in self._logged or len(self._logged) >= MOST_LOGGED:
            return
        self._logged.add(key)
        log.warning(
            "answer partly unreadable",
            endpoint=left_out.endpoint,
            left_out=left_out.value or "a row",
            found=left_out.found,
            counted_by="slipway_proxmox_unreadable_total",
        )
