"""Who sends or takes too slowly does not hold a connection for ever."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from slipway.runtime.process.service import Service
from support.gateway_side import TOKEN

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEAD = f"POST /api/v1/containers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


@pytest.fixture
async def connection(gateway: Service) -> AsyncIterator[Connection]:
    """A connection to the gateway."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    yield reader, writer
    writer.close()


async def test_body_that_does_not_come_is_not_waited_for(connection: Connection) -> None:
    """The deadline is the whole body's, not each part's."""
    reader, writer = connection
    writer.write(HEAD + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")

    answer = await asyncio.wait_for(reader.read(), 10)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"request.too-slow"' in answer


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_head_that_does_not_end_is_not_waited_for(connection: Connection, sent: bytes) -> None:
    """A connection without a request is closed."""
    reader, writer = connection
    writer.write(sent)

    assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_second_head_that_does_not_end_is_not_waited_for(connection: Connection) -> None:
    """An answered request does not make the connection safe."""
    reader, writer = connection
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.write(b"GET /livez HTTP/1.1\r\n")

    assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_head_without_end_is_cut(connection: Connection) -> None:
    """Its size is bounded, not only its time."""
    reader, writer = connection
    writer.write(b"GET /livez HTTP/1.1\r\nX-Long: " + b"a" * 100_000)

    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 1.5) == b""
