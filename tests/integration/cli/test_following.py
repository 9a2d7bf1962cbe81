"""Following a job while the server is away, fails, or has sent the job log before."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from slipway.client.sse import Outage, ServerEvent
from slipway.client.transport import ApiUnreachable, Transport

DONE = 'id: 9\nevent: done\ndata: {"state": "succeeded", "percent": 100}\n\n'
Answers = Callable[[str], tuple[int, str]]


@asynccontextmanager
async def server(answers: Answers) -> AsyncIterator[str]:
    """Run an HTTP server that answers by path; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode().split()
        status, body = answers(request[1])
        kind = "Content-Type: text/event-stream"
        writer.write(f"HTTP/1.1 {status} X\r\n{kind}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        yield f"http://{host}:{port}"


async def followed(url: str, outage: Outage | None = None) -> Sequence[ServerEvent]:
    """Follow a job to its end."""
    async with asyncio.timeout(20), Transport(url, "token") as client:
        return [event async for event in client.follow_job("j", outage=outage)]


async def test_sent_before() -> None:
    """After 204 the job itself is asked how it ended."""

    def answers(path: str) -> tuple[int, str]:
        return (204, "") if path.endswith("/events") else (200, '{"id": "j", "state": "failed"}')

    async with server(answers) as url:
        (event,) = await followed(url)

    assert (event.kind, event.content["state"]) == ("done", "failed")


async def test_failing_server() -> None:
    """A server that answers 5xx for some seconds is reported once, and the job log goes on after it."""
    reports: list[str] = []

    def answers(_path: str) -> tuple[int, str]:
        return (200, DONE) if reports else (502, "")

    async with server(answers) as url:
        (event,) = await followed(url, Outage(reports.append))

    assert event.kind == "done"
    assert reports == ["reconnecting: the server answers with status 502"]


async def test_gone_for_good() -> None:
    """A server that stays away ends the wait."""
    with pytest.raises(ApiUnreachable, match="was away for 1 seconds"):
        await followed("http://127.0.0.1:1", Outage(most_seconds=1))


async def test_another_server() -> None:
    """Whatever answers there, if it is not Slipway, that is the error."""
    async with server(lambda _path: (200, "<html>")) as url, Transport(url, "token") as client:
        with pytest.raises(ApiUnreachable, match="not as Slipway does"):
            await client.get("/version")


async def test_newest_jobs() -> None:
    """Of a long list no more pages are read than were asked for."""
    paths: list[str] = []

    def answers(path: str) -> tuple[int, str]:
        paths.append(path)
        return 200, '{"items": [{"id": 1}, {"id": 2}], "next": "more"}'

    async with server(answers) as url, Transport(url, "token") as client:
        items = await client.items("/jobs", 3)

    assert (len(items), len(paths)) == (3, 2)
