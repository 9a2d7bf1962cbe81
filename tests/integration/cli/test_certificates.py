"""The client of the HTTP API over TLS."""

from pathlib import Path

import pytest

from slipway.client.tls import NotTrusted, Trust
from slipway.client.transport import Transport
from support.https_server import Answer, HttpsServer
from support.lab import running_lab


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
async def test_unknown_certificate_is_refused(tmp_path: Path, scheme: str) -> None:
    """The token goes to nobody whose certificate the machine does not trust."""
    async with running_lab(tmp_path) as lab:
        url = lab.endpoint.replace("https", scheme)

        with pytest.raises(NotTrusted, match="SLIPWAY_TLS_FINGERPRINT"):
            async with Transport(url, "the-token") as transport:
                await transport.get("version")


async def test_the_pinned_certificate_is_trusted_and_no_other(tmp_path: Path) -> None:
    """The fingerprint alone decides; a wrong one is refused with both, before the token is sent."""
    with HttpsServer(tmp_path, lambda _request: Answer(body={"version": "1"})) as server:
        former = server.fingerprint
        async with Transport(server.endpoint, "the-token", Trust(fingerprint=former.lower())) as transport:
            assert await transport.get("/version") == {"version": "1"}
        server.renew()

        with pytest.raises(NotTrusted) as refused:
            async with Transport(server.endpoint, "the-token", Trust(fingerprint=former)) as transport:
                await transport.get("/version")

    assert former in str(refused.value)
    assert server.fingerprint in str(refused.value)
    assert len(server.requests) == 1


async def test_a_ca_of_ones_own_is_trusted(tmp_path: Path) -> None:
    """What a file's CA has signed is accepted for its names."""
    with HttpsServer(tmp_path, lambda _request: Answer(body={"version": "1"})) as server:
        (tmp_path / "ca.pem").write_text(server.ca)
        async with Transport(server.endpoint, "the-token", Trust(ca_file=tmp_path / "ca.pem")) as transport:
            assert await transport.get("/version") == {"version": "1"}


@pytest.mark.parametrize(
    ("url", "trust", "reason"),
    [
        ("http://127.0.0.1:1", Trust(fingerprint="AA:" * 31 + "AA"), "without TLS"),
        ("https://127.0.0.1:1", Trust(fingerprint="AA:BB"), "32 pairs"),
        ("https://127.0.0.1:1", Trust(ca_file=Path("/no/such/file")), "can't read"),
    ],
)
def test_what_could_not_be_checked_is_refused(url: str, trust: Trust, reason: str) -> None:
    """Nobody believes in a check that is not made."""
    with pytest.raises(NotTrusted, match=reason):
        Transport(url, "the-token", trust)
