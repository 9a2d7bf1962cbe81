"""Where `slipway up` listens, and when with TLS."""

from pathlib import Path

import pytest

from slipway.cli.errors import WrongInput
from slipway.standalone.address import Listening, listening

PAIR = {"certificate": Path("/c.pem"), "key": Path("/k.pem")}
NONE = {"certificate": None, "key": None}


@pytest.mark.parametrize(
    ("host", "is_plain", "expected"),
    [
        ("127.0.0.1", False, Listening(host="127.0.0.1")),
        ("localhost", False, Listening(host="127.0.0.1")),
        ("::1", False, Listening(host="::1")),
        ("192.0.2.5", False, Listening(host="192.0.2.5", has_tls=True)),
        ("10.0.0.5", True, Listening(host="10.0.0.5")),
    ],
)
def test_off_loopback_there_is_tls(host: str, *, is_plain: bool, expected: Listening) -> None:
    """Without it only if that was asked for, with a warning."""
    chosen = listening(host, certificate=None, key=None, is_plain=is_plain)

    assert chosen == expected
    assert (chosen.warning is not None) == is_plain


@pytest.mark.parametrize(
    ("host", "files", "is_plain", "reason"),
    [
        ("example.org", NONE, False, "--host example.org"),
        ("192.0.2.5", {**NONE, "key": Path("/k.pem")}, False, "are a pair"),
        ("192.0.2.5", PAIR, True, "--plain-http"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    host: str, files: dict[str, Path | None], *, is_plain: bool, reason: str
) -> None:
    """The message names the option."""
    with pytest.raises(WrongInput, match=reason):
        listening(host, certificate=files["certificate"], key=files["key"], is_plain=is_plain)
