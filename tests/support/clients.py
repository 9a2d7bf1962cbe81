"""Clients of HTTP, without TLS unless they are told whom to trust."""

import ssl
from typing import Any

import httpx

_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""To load the machine's certificates takes longer than most tests' requests."""
LIMITS = httpx.Limits(keepalive_expiry=2.0)
"""Proxmox and the lab close a connection that rested for 5 s, which is also httpx' own limit: what is sent
just then gets no answer."""


def http_client(**options: Any) -> httpx.AsyncClient:
    """Make a client; options as of `httpx.AsyncClient`, `verify` for one of `https://`."""
    return httpx.AsyncClient(**{"verify": _TRUSTS_NOBODY, "trust_env": False, "limits": LIMITS, **options})
