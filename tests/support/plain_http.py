"""Clients of HTTP without TLS. To load the machine's certificates takes longer than most tests' requests."""

import ssl
from typing import Any

import httpx

_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(**options: Any) -> httpx.AsyncClient:
    """Make a client for `http://` only; options as of `httpx.AsyncClient`."""
    return httpx.AsyncClient(verify=_TRUSTS_NOBODY, trust_env=False, **options)
