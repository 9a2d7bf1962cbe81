"""How a session is found among whatever else a browser sends."""

import pytest

from slipway.gateway.identity.auth import cookie_of, headers_of


@pytest.mark.parametrize(
    "sent",
    [
        "slipway-session=abc",
        'theme={"a": 1}; slipway-session=abc',
        "flag; slipway-session=abc",
        "x=é; slipway-session=abc; y=2",
        "a@b=1;slipway-session=abc",
        "slipway-session=; slipway-session=abc",
        "other-slipway-session=x; slipway-session=abc",
        "; ;=; slipway-session=abc ;",
    ],
)
def test_session_is_found_among_odd_cookies(sent: str) -> None:
    """Every program on the same host may set cookies, also such as no standard allows."""
    assert cookie_of({b"cookie": sent.encode("latin-1")}) == "abc"


@pytest.mark.parametrize("sent", ["", "theme=dark", "slipway-session", "xslipway-session=abc"])
def test_no_session_is_none(sent: str) -> None:
    """What only looks like ours is not."""
    assert cookie_of({b"cookie": sent.encode("latin-1")}) is None


def test_several_cookie_headers_are_one() -> None:
    """HTTP/2 proxies send each cookie in a header of its own."""
    headers = headers_of([(b"cookie", b"slipway-session=abc"), (b"host", b"x"), (b"cookie", b"a=b")])

    assert cookie_of(headers) == "abc"
    assert headers[b"host"] == b"x"
