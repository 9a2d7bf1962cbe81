"""The session's cookie where a proxy speaks TLS for the gateway."""

import httpx
import pytest

from support.gateway_side import TOKEN


@pytest.mark.parametrize("changes", [{"public_url": "https://slipway.example"}])
async def test_cookie_behind_a_proxy_with_tls_is_secure(anyone: httpx.AsyncClient) -> None:
    """The proxy speaks plain HTTP to us; the browser's cookie must not."""
    opened = await anyone.post("/api/v1/session", json={"secret": TOKEN})

    assert "Secure" in opened.headers["set-cookie"].split("; ")
