"""What a service had to leave out of a host's answers: counted each time, said once.

Only the field's name and the kind of what stood there are said: the value itself may be a secret.
"""

from typing import Protocol

from slipway.runtime.process import metrics
from slipway.runtime.process.logs import get_logger

log = get_logger()

MOST_SAID = 500
"""Different ones that are said; an answer that is odd all over is not worth more."""


class LeftOut(Protocol):
    """A row or a value that could not be read."""

    @property
    def endpoint(self) -> str:
        """The question, without names of nodes and the like."""

    @property
    def value(self) -> str | None:
        """The field's name; None for a whole row."""

    @property
    def found(self) -> str:
        """Of what kind it was."""


class UnreadableLog:
    """Notes what was left out."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str | None]] = set()

    def note(self, left_out: LeftOut) -> None:
        """Count it, and log it if it is the first of its kind."""
        metrics.proxmox_unreadable.labels(left_out.endpoint).inc()
        key = (left_out.endpoint, left_out.value)
        if key in self._said or len(self._said) >= MOST_SAID:
            return
        self._said.add(key)
        log.warning(
            "answer not wholly readable",
            endpoint=left_out.endpoint,
            left_out=left_out.value or "a row",
            found=left_out.found,
            counted_by="slipway_proxmox_unreadable_total",
        )
