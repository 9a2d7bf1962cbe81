"""Following a job while the server is away, fails, or has told the job log before."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from slipway.client.api import ApiUnreachable, Client
from slipway.client.sse import Outage, ServerEvent

DONE = 'id: 9\nevent: done\ndata: {"state": "succeeded", "percent": 100}\n\n'
Answers = Callable[[str], tuple[int, str]]


@asynccontextmanager
async def server(answers: Answers) -> AsyncIterator[str]:
    """Run an HTTP server that answers by path; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).decode().split()
        status, body = answers(asked[1])
        writer.write(f"HTTP/1.1 {status} X\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        yield f"http://{host}:{port}"


async def followed(url: str, outage: Outage | None = None) -> Sequence[ServerEvent]:
    """Follow a job to its end."""
    async with asyncio.timeout(20), Client(url, "token") as client:
        return [event async for event in client.follow_job("j", outage=outage)]


async def test_told_before() -> None:
    """After 204 the job itself is asked how it ended."""

    def answers(path: str) -> tuple[int, str]:
        return (204, "") if path.endswith("/events") else (200, '{"id": "j", "state": "failed"}')

    async with server(answers) as url:
        (event,) = await followed(url)

    assert (event.kind, event.content["state"]) == ("done", "failed")


async def test_failing_server() -> None:
    """A server that answers 5xx for some seconds is told of once, and the job log goes on after it."""
    told: list[str] = []

    def answers(_path: str) -> tuple[int, str]:
        return (200, DONE) if told else (502, "")

    async with server(answers) as url:
        (event,) = await followed(url, Outage(told.append))

    assert event.kind == "done"
    assert told == ["reconnecting: the server answers with status 502"]


async def test_gone_for_good() -> None:
    """A server that stays away ends the wait."""
    with pytest.raises(ApiUnreachable, match="was away for 1 seconds"):
        await followed("http://127.0.0.1:1", Outage(most_seconds=1))


async def test_another_server() -> None:
    """Whatever answers there, if it is not Slipway it is said."""
    async with server(lambda _path: (200, "<html>")) as url, Client(url, "token") as client:
        with pytest.raises(ApiUnreachable, match="not as Slipway does"):
            await client.get("/version")


async def test_newest_jobs() -> None:
    """Of a long list no more pages are read than were asked for."""
    asked: list[str] = []

    def answers(path: str) -> tuple[int, str]:
        asked.append(path)
        return 200, '{"items": [{"id": 1}, {"id": 2}], "next": "more"}'

    async with server(answers) as url, Client(url, "token") as client:
        found = await client.first("/jobs", 3)

    assert (len(found), len(asked)) == (3, 2)
