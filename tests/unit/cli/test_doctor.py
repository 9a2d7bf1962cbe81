"""What `slipway doctor` makes of clocks and certificates."""

from datetime import UTC, datetime, timedelta

import pytest

from slipway.standalone.doctor.findings import State
from slipway.standalone.doctor.running import judge_certificate, judge_clock

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "state", "message"),
    [
        ((0.4, -1.2), State.OK, "this machine and 2 clusters agree within 5 s"),
        ((0.0, 12.0), State.WARNING, "the clock of site1 is 12 s ahead of ours"),
        ((-90.0, 12.0), State.FAILED, "the clock of site0 is 90 s behind ours"),
    ],
)
def test_the_worst_clock_counts(seconds: tuple[float, ...], state: State, message: str) -> None:
    """It is named, with the side on which it is wrong."""
    skews = {f"site{number}": timedelta(seconds=each) for number, each in enumerate(seconds)}

    finding = judge_clock(skews)

    assert (finding.state, finding.message) == (state, message)
    assert bool(finding.remedy) == (state is not State.OK)


@pytest.mark.parametrize(
    ("days", "state"), [(200, State.OK), (20, State.WARNING), (-1, State.FAILED), (0, State.FAILED)]
)
def test_a_certificate_is_looked_at_before_it_ends(days: int, state: State) -> None:
    """Three weeks before its end it is a warning."""
    finding = judge_certificate(NOW + timedelta(days=days), NOW)

    assert finding.state is state
    assert f"{NOW + timedelta(days=days):%Y-%m-%d}" in finding.message
