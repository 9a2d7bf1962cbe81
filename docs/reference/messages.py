"""The page of all messages: what is said on the bus, by whom, and who hears it."""

import inspect
from collections.abc import Iterator

from slipway.contracts.message import Command, Event, Message, Query, State
from slipway.contracts.registry import ASKERS, MESSAGES, PUBLISHERS
from slipway.runtime.topology.declared import CONSUMERS

INTRODUCTION = """\
# Messages

Everything that is said on the bus. The class is in `slipway.contracts`, its JSON Schema in
`contracts/schemas/`, all of it in one AsyncAPI document (`contracts/asyncapi.json`). `{id}` is the id of the
thing that the message is about; an event is also heard live, on `slipway.live.` and its subject.
[How a program of yours listens](../howto/integrate.md).
"""
KINDS = {
    Event: (
        "Events",
        "Facts, stored for 90 days at most (log lines for 7). The gateway and integrators receive all.",
    ),
    Query: ("Queries", "Answered at once by the service in the subject, never stored. Services only."),
    Command: ("Commands", "Orders of one service to another, in a work queue. Services only."),
    State: ("States", "The last value of a thing, written by its owner alone. Services only."),
}


def messages() -> str:
    """Return every message: subject, who sends it, who receives it, and its first line."""
    parts = [INTRODUCTION]
    for kind, (title, words) in KINDS.items():
        parts += [f"## {title}\n\n{words}\n", *_table(kind)]
    return "\n".join(parts)


def _table(kind: type[Message]) -> Iterator[str]:
    yield "| subject | class | says | hears | meaning |\n|---|---|---|---|---|"
    for message in sorted(
        (each for each in MESSAGES if issubclass(each, kind)), key=lambda each: each.subject
    ):
        words = (inspect.getdoc(message) or "").partition("\n")[0].replace("|", "\\|")
        said, heard = ", ".join(_says(message)), ", ".join(_hears(message))
        yield f"| `{message.subject}` | `{message.__name__}` | {said} | {heard} | {words} |"
    yield ""


def _says(message: type[Message]) -> tuple[str, ...]:
    return ASKERS[message] if issubclass(message, Query) else PUBLISHERS[message]


def _hears(message: type[Message]) -> tuple[str, ...]:
    if issubclass(message, Command | Query):
        return (message.subject.split(".")[3],)
    subject = message.subject.replace("{id}", "*")
    services = {each.service for each in CONSUMERS if any(_fits(subject, one) for one in each.filters)}
    return (*sorted(services), *(("gateway", "integrators") if issubclass(message, Event) else ()))


def _fits(subject: str, pattern: str) -> bool:
    """Tell whether a filter covers a subject; both have `*` at the id."""
    head, rest, _ = pattern.partition(">")
    return subject.startswith(head) if rest else subject == pattern
