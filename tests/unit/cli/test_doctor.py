"""What `slipway doctor` makes of clocks and certificates."""

import base64
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from slipway.runtime.secrets.redaction import MASK
from slipway.standalone.doctor.findings import State
from slipway.standalone.doctor.running import judge_certificate, judge_clock
from slipway.standalone.doctor.secret_values import SecretValues

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


@pytest.mark.parametrize("before", ["", "r", "ro", "root:"])
def test_a_secret_is_found_in_every_form(before: str) -> None:
    """As it is, in JSON, in a URL, and in base64 wherever it begins there."""
    secret = 'p"ss/wörd+1'
    encoded = base64.b64encode(f"{before}{secret} and more".encode()).decode()
    text = f"{secret} {json.dumps(secret)} {quote(secret, safe='')} {encoded} {encoded.replace('+', '-')}"

    masked = SecretValues([secret, "four"]).masked(f"four {text}")

    assert masked.startswith('four [redacted] "[redacted]" [redacted] ')
    assert masked.count(MASK) == 5


def test_thousands_of_secrets_take_no_longer() -> None:
    """A log of 256 KiB is searched for the passwords of 3000 containers in less than the time of a test."""
    values = SecretValues(f"{number:05}-{number * 7919:09}-password" for number in range(3000))

    masked = values.masked("00017-000134623-password " + "an ordinary line of a log\n" * 10_000)

    assert masked.count(MASK) == 1
