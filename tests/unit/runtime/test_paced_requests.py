"""When a request for work ends."""

import pytest

from slipway.runtime.bus.paced_subscription import seconds_left


@pytest.mark.parametrize(
    ("now", "left"), [(16.0, 8.0), (17.5, 6.5), (23.0, 1.0), (23.5, 8.5), (23.9999, 8.0001), (0.0, 8.0)]
)
def test_requests_end_together(now: float, left: float) -> None:
    """At the end of a round by the clock, whoever asks; one that would hardly wait takes the next."""
    assert seconds_left(now, 8.0) == pytest.approx(left)
