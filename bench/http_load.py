"""A client that costs little: requests over connections that stay open, each waiting for its answer."""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.builds import Side

CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Load:
    """What one turn yielded."""

    cpu_ms: float
    """CPU of all processes of the stack, for one request."""
    per_second: float


async def load(side: Side, path: str, *, seconds: float, connections: int = CONNECTIONS) -> Load:
    """Ask for a path again and again, at once over several connections.

    Raises:
        AssertionError: if an answer is not 200.
    """
    await _ask(side, path, connections, 0.2)
    used, began = side.cpu(), time.monotonic()
    count = await _ask(side, path, connections, seconds)
    return Load((side.cpu() - used) * 1000 / count, count / (time.monotonic() - began))


async def _ask(side: Side, path: str, connections: int, seconds: float) -> int:
    until = time.monotonic() + seconds
    request = (
        f"GET {path} HTTP/1.1\r\nHost: slipway\r\nAuthorization: Bearer {side.stack.token}\r\n\r\n".encode()
    )
    url = side.stack.endpoints["http"]
    return sum(await asyncio.gather(*(_one(url, request, until) for _ in range(connections))))


async def _one(url: str, request: bytes, until: float) -> int:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**24)
    count = 0
    while time.monotonic() < until or not count:
        writer.write(request)
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            body = await reader.readexactly(length)
        assert head.startswith(b"HTTP/1.1 200"), head + body
        count += 1
    writer.close()
    return count
