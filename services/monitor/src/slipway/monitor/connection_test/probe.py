"""Read what a machine shows to whom it does not know, for a person to compare. Nothing is sent to it."""

import asyncio
import re
import socket
from collections.abc import Coroutine
from datetime import timedelta

from slipway.contracts.connections import ADDRESS_PATTERN, NodeProbe, ProbeNode
from slipway.contracts.problems import FieldError, Invalid, SlipwayError
from slipway.proxmox.links import host_key_fingerprint, scan_host_key
from slipway.proxmox.tls import scan_fingerprint
from slipway.runtime.bus.call import Call

TIMEOUT = timedelta(seconds=8)


async def probe(query: ProbeNode, _call: Call) -> NodeProbe:
    """Return the SSH host key and the certificate's fingerprint of an address."""
    if not re.fullmatch(ADDRESS_PATTERN, query.address):
        raise _no_address()
    host = f"[{query.address}]" if ":" in query.address else query.address
    endpoint = f"https://{host}:{query.api_port}"
    (host_key, no_ssh), (fingerprint, no_api) = await asyncio.gather(
        _or_why(scan_host_key(query.address, port=query.port, timeout=TIMEOUT), "port"),
        _or_why(scan_fingerprint(endpoint, timeout=TIMEOUT), "api_port"),
    )
    return NodeProbe(
        address=query.address,
        port=query.port,
        host_key=host_key,
        host_key_fingerprint=host_key_fingerprint(host_key) if host_key else None,
        endpoint=endpoint,
        tls_fingerprint=fingerprint,
        # A name that is not known is said once.
        problems=tuple(dict.fromkeys(each for each in (no_ssh, no_api) if each is not None)),
    )


async def _or_why(question: Coroutine[None, None, str], field: str) -> tuple[str | None, str | None]:
    try:
        return await question, None
    except ValueError as error:
        raise _no_address() from error
    except SlipwayError as error:
        if isinstance(error.__cause__, socket.gaierror):
            return None, error.message
        option = f"--{field.replace('_', '-')}"
        hint = f"Look whether it runs there, or give its other port as {field} ({option})."
        return None, f"{error.message} {hint}"


def _no_address() -> Invalid:
    message = "It is a host's name or IP address."
    return Invalid(message, errors=[FieldError(field="address", message=message)])
