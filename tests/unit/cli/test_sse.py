"""Server-sent events, taken apart."""

import pytest

from slipway.client.sse import EventParser, ServerEvent


def parse(text: str) -> list[ServerEvent]:
    """Parse a whole stream."""
    parser = EventParser()
    return [event for line in text.split("\n") if (event := parser.feed(line)) is not None]


def test_event() -> None:
    """An event has an id, a kind and JSON content."""
    (event,) = parse('id: 7\nevent: phase\ndata: {"percent": 20}\n\n')

    assert (event.id, event.kind, event.content) == ("7", "phase", {"percent": 20})


@pytest.mark.parametrize("text", [": heartbeat\n\n", "retry: 500\n\n", "id: 3\n\n", ""])
def test_nothing(text: str) -> None:
    """Comments, retry hints and events without content are none."""
    assert parse(text) == []


def test_several_lines() -> None:
    """Several lines of content are one text, and a missing space is no difference."""
    (event,) = parse("data:one\ndata: two\n\n")

    assert (event.kind, event.text) == ("message", "one\ntwo")


def test_id_stays() -> None:
    """An event without an id of its own keeps the last one."""
    first, second = parse("id: 1\ndata: a\n\ndata: b\n\n")

    assert (first.id, second.id) == ("1", "1")
