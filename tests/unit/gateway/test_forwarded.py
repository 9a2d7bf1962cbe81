"""Who a request comes from, behind proxies that are believed and before others that are not."""

from ipaddress import ip_network

import pytest

from slipway.gateway.http.forwarded import MOST_BYTES, Origin, origin_of

TRUSTED = tuple(ip_network(each) for each in ("10.0.0.0/24", "127.0.0.1", "fd00::/8"))


@pytest.mark.parametrize(
    ("sent", "client"),
    [
        ({"x-forwarded-for": "203.0.113.7"}, "203.0.113.7"),
        ({"x-forwarded-for": "203.0.113.7, 10.0.0.9"}, "203.0.113.7"),
        ({"x-forwarded-for": "6.6.6.6, 203.0.113.7, 10.0.0.9"}, "203.0.113.7"),
        ({"x-forwarded-for": "203.0.113.7:51000"}, "203.0.113.7"),
        ({"x-forwarded-for": "::ffff:203.0.113.7"}, "203.0.113.7"),
        ({"x-forwarded-for": "6.6.6.6, unknown, 10.0.0.9"}, "10.0.0.9"),
        ({"x-forwarded-for": "6.6.6.6, "}, "10.0.0.2"),
        ({"x-forwarded-for": "10.0.0.8, 10.0.0.9"}, "10.0.0.8"),
        ({"forwarded": "for=203.0.113.7"}, "203.0.113.7"),
        ({"forwarded": 'For="[2001:db8::1]:4711";proto=https, for=10.0.0.9'}, "2001:db8::1"),
        ({"forwarded": 'for="_a, for=6.6.6.6", for=203.0.113.7'}, "203.0.113.7"),
        ({"forwarded": "for=_hidden, for=10.0.0.9"}, "10.0.0.9"),
        ({"forwarded": 'for=6.6.6.6, for="203.0.113.7'}, "10.0.0.2"),
        ({"forwarded": "for=6.6.6.6,"}, "10.0.0.2"),
        ({"forwarded": f"for=203.0.113.7;by={'x' * MOST_BYTES}"}, "10.0.0.2"),
        ({"forwarded": "for=6.6.6.6", "x-forwarded-for": "203.0.113.7"}, "10.0.0.2"),
        ({"forwarded": "for=203.0.113.7", "x-forwarded-for": "203.0.113.7"}, "203.0.113.7"),
    ],
)
def test_client_is_the_right_most_that_is_not_trusted(sent: dict[str, str], client: str) -> None:
    """What a client writes stands further left; what can't be read, or contradicts itself, ends it."""
    headers = {name.encode(): value.encode() for name, value in sent.items()}

    assert origin_of("10.0.0.2", headers, TRUSTED).client == client


def test_nobody_else_is_believed() -> None:
    """Whoever connects directly is who he is, whatever he sends."""
    headers = {
        b"x-forwarded-for": b"10.0.0.1",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-prefix": b"/a",
        b"forwarded": b"for=10.0.0.1;proto=https",
    }

    assert origin_of("203.0.113.7", headers, TRUSTED) == Origin(client="203.0.113.7")


@pytest.mark.parametrize(
    ("sent", "scheme"),
    [
        ({"x-forwarded-proto": "https"}, "https"),
        ({"x-forwarded-proto": "http, HTTPS"}, "https"),
        ({"x-forwarded-proto": "javascript"}, None),
        ({"forwarded": "for=203.0.113.7;proto=https, for=10.0.0.9;proto=http"}, "https"),
        ({"forwarded": "for=203.0.113.7;proto=https", "x-forwarded-proto": "http"}, None),
    ],
)
def test_scheme_is_what_the_client_speaks(sent: dict[str, str], scheme: str | None) -> None:
    """Proxies may speak plain HTTP to each other; two that contradict each other count for nothing."""
    headers = {name.encode(): value.encode() for name, value in sent.items()}

    assert origin_of("fd00::1", headers, TRUSTED).scheme == scheme


@pytest.mark.parametrize(
    ("sent", "prefix"),
    [("/slipway", "/slipway"), ("/a/b/", "/a/b"), ("//evil.example", ""), ("/a\r\nX: y", ""), ("a", "")],
)
def test_prefix_is_a_path(sent: str, prefix: str) -> None:
    """It goes into answers: only a plain path is taken."""
    assert origin_of("10.0.0.2", {b"x-forwarded-prefix": sent.encode()}, TRUSTED).prefix == prefix
