"""The time of day; everything below the edges is given it as an argument."""

from datetime import UTC, datetime

from slipway.contracts.message import Moment


def now() -> Moment:
    """Return the time, in UTC."""
    return datetime.now(UTC)
