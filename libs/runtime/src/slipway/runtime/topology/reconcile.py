"""Make the bus match the declaration: create, compare, update, and refuse what would destroy.

Services never call `apply`; they `verify` and wait. Streams and consumers that nobody declared are left
alone.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, ConsumerInfo, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from slipway.contracts.problems import Conflict
from slipway.runtime.bus.connection import needs_bus
from slipway.runtime.errors import BusUnavailable, TopologyMissing
from slipway.runtime.process.logs import get_logger
from slipway.runtime.topology.declared import (
    BUCKETS,
    CONSUMERS,
    DEAD_LETTERS,
    STREAMS,
    Consumer,
    Stream,
    TopologySettings,
    streams_of,
)
from slipway.runtime.topology.renamed import carry_over

log = get_logger()

_SETTLED = ("retention", "storage", "discard")
"""What can't change without losing messages or their order."""


class TopologyConflict(Conflict):
    """The bus has something that can only be made right by destroying messages."""

    code = "topology.conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that `apply` did."""

    kind: str
    """`stream`, `consumer` or `mirror`."""
    name: str
    done: str
    """`created`, or what was changed for which fields."""


async def apply(connection: Client, settings: TopologySettings | None = None) -> list[Change]:
    """Create what is missing and update what differs; return the changes."""
    settings = settings or TopologySettings()
    bus = connection.jetstream()
    try:
        streams = [await _apply_stream(bus, each, settings) for each in (*STREAMS, *BUCKETS)]
        consumers = [await _apply_consumer(bus, each.stream, each.config(settings)) for each in CONSUMERS]
        moved = await carry_over(connection)
    except NatsError as error:
        raise BusUnavailable(f"The bus did not take the topology: {error}") from error
    changes = [change for change in (*streams, *consumers) if change is not None]
    if moved:
        done = f"{moved} messages carried over from its former name"
        changes.append(Change(kind="stream", name=DEAD_LETTERS, done=done))
    for change in changes:
        log.info("topology changed", kind=change.kind, name=change.name, done=change.done)
    return changes


async def verify(connection: Client, service: str) -> tuple[list[ConsumerInfo], list[StreamInfo]]:
    """Return the state of a service's consumers and streams; raise `TopologyMissing` if one is missing."""
    bus = connection.jetstream()

    async def consumer_info(consumer: Consumer) -> ConsumerInfo:
        with _needed("consumer", consumer.durable):
            info: ConsumerInfo = await bus.consumer_info(consumer.stream, consumer.durable)
            return info

    async def stream_info(stream: str) -> StreamInfo:
        with _needed("stream", stream):
            return await bus.stream_info(stream)

    # All at once: it wakes the server once.
    return await asyncio.gather(
        asyncio.gather(*(consumer_info(each) for each in CONSUMERS if each.service == service)),
        asyncio.gather(*(stream_info(each) for each in streams_of(service))),
    )


@contextmanager
def _needed(kind: str, name: str) -> Iterator[None]:
    with needs_bus(f"The bus did not answer about the {kind} {name}."):
        try:
            yield
        except NotFoundError as error:
            message = f"The bus has no {kind} {name}; run `slipway topology apply`."
            details: dict[str, Any] = {kind: name}
            raise TopologyMissing(message, **details) from error


async def _apply_stream(bus: JetStreamContext, stream: Stream, settings: TopologySettings) -> Change | None:
    declared, name = stream.config(settings), stream.name
    try:
        info = await bus.stream_info(name)
    except NotFoundError:
        await bus.add_stream(declared)
        return Change(kind="stream", name=name, done="created")
    different = differences(declared.as_dict(), info.config.as_dict())
    if not different:
        return None
    _refuse_destruction(declared, info, different, stream.former_subjects)
    await bus.update_stream(declared)
    return Change(kind="stream", name=name, done=f"updated {', '.join(different)}")


def _refuse_destruction(
    declared: StreamConfig, info: StreamInfo, different: Iterable[str], former_subjects: Collection[str]
) -> None:
    reasons = [f"{name} can't change" for name in different if name in _SETTLED]
    lost = set(info.config.subjects or ()) - {*(declared.subjects or ()), *former_subjects}
    reasons += [f"the subject {subject} would be dropped" for subject in sorted(lost)]
    if declared.max_bytes is not None and declared.max_bytes < info.state.bytes:
        reasons.append(f"max_bytes {declared.max_bytes} is less than the {info.state.bytes} stored")
    if reasons:
        raise TopologyConflict(
            f"The stream {declared.name} can't be made as declared: {'; '.join(reasons)}.",
            stream=declared.name,
        )


async def _apply_consumer(bus: JetStreamContext, stream: str, declared: ConsumerConfig) -> Change | None:
    name = str(declared.durable_name)
    try:
        info = await bus.consumer_info(stream, name)
    except NotFoundError:
        await bus.add_consumer(stream, declared)
        return Change(kind="consumer", name=name, done="created")
    # Where it began is settled when it is made; one that was restored began where its database stood.
    declared.deliver_policy = info.config.deliver_policy
    declared.opt_start_seq = info.config.opt_start_seq
    different = differences(declared.as_dict(), info.config.as_dict())
    if not different:
        return None
    await bus.add_consumer(stream, declared)
    return Change(kind="consumer", name=name, done=f"updated {', '.join(different)}")


def differences(declared: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """Return the fields that differ from the declaration."""
    return sorted(name for name, value in declared.items() if _plain(value) != _plain(actual.get(name)))


def _plain(value: Any) -> Any:
    """Treat what the bus leaves out (nothing, 0, -1, False) as one thing: not set."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if _plain(part) is not None}
    return None if value in (0, -1, False, "", [], None) else value
