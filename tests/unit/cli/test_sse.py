"""Server-sent events, read from one response."""

import httpx
import pytest

from slipway.client.sse import ServerEvent, read_events


async def parse(text: str) -> list[ServerEvent]:
    """Parse a whole stream."""
    headers = {"Content-Type": "text/event-stream"}
    return [event async for event in read_events(httpx.Response(200, headers=headers, content=text.encode()))]


async def test_event() -> None:
    """An event has an id, a kind and JSON content."""
    (event,) = await parse('id: 7\nevent: phase\ndata: {"percent": 20}\n\n')

    assert (event.id, event.kind, event.content) == ("7", "phase", {"percent": 20})


@pytest.mark.parametrize("text", [": heartbeat\n\n", "retry: 500\n\n", "id: 3\n\n", "", "data: cut\n"])
async def test_nothing(text: str) -> None:
    """Comments, retry hints, events without content and those that were cut are none."""
    assert await parse(text) == []


async def test_several_lines() -> None:
    """Several lines of content are one text, and a missing space is no difference."""
    (event,) = await parse("data:one\ndata: two\n\n")

    assert (event.kind, event.text) == ("message", "one\ntwo")


async def test_id_stays() -> None:
    """An event without an id of its own has the last one; a heartbeat between them is none."""
    first, second = await parse("id: 1\ndata: a\n\n: heartbeat\n\ndata: b\n\n")

    assert (first.id, second.id) == ("1", "1")


async def test_unusual_line_ends_stay_in_the_text() -> None:
    """Characters that Unicode calls line ends do not end a line of the stream."""
    (event,) = await parse("data: a\u2028b\x85c\x0cd\n\n")

    assert event.text == "a\u2028b\x85c\x0cd"
