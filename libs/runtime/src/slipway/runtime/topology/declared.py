"""The one declaration of the bus's streams, buckets and consumers.

Nothing here talks to the bus. A stream's limits are settings, because disks differ; its meaning is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from slipway.contracts.message import Event, Message
from slipway.runtime.process.settings import Duration, Settings

COMMANDS = "COMMANDS"
EVENTS = "EVENTS"
DEAD_LETTERS = "DEAD_LETTERS"
ADVISORIES = "ADVISORIES"
LIVE = "live"
LOOKS = "looks"
LOCKS = "locks"
BUNDLES = "bundles"
LIVE_PREFIX = "slipway.live."
"""Under which the stored subjects of EVENTS are republished."""

LOG_LIFETIME = timedelta(days=7)
FACTS_LIFETIME = timedelta(hours=1)
"""Of observed facts of a node: they are published again every few minutes, and inventory stores the last."""
EVENT_LIFETIME = timedelta(days=90)
RECORD_LIFETIME = timedelta(days=90)
"""Of a run record's terminal write; an unfinished record has no end."""

_MIB = 1024 * 1024


class TopologySettings(Settings):
    """The sizes and replicas of the bus's streams."""

    model_config = SettingsConfigDict(extra="ignore")
    table = "topology"

    replicas: int = Field(default=1, ge=1, le=5)
    """Copies of everything: 1 on one machine, 3 on a cluster."""
    ack_wait: Duration = timedelta(seconds=12)
    """After how long without a sign of life work goes to another worker."""
    duplicate_window: Duration = timedelta(hours=1)
    """For how long the same message id is stored once; longer than any relay retries."""
    commands_max_bytes: int = 64 * _MIB
    events_max_bytes: int = 2048 * _MIB
    """EVENTS refuses new messages when full: at 70 % the logs warn, from 85 % on no new job is accepted."""
    dead_letters_max_bytes: int = 64 * _MIB
    advisories_max_bytes: int = 16 * _MIB
    """ADVISORIES is for people: the bus's reports of abandoned deliveries, for 90 days."""
    live_max_bytes: int = 64 * _MIB
    looks_max_bytes: int = 16 * _MIB
    """Of the last look at each cluster."""
    locks_max_bytes: int = 4 * _MIB
    bundles_max_bytes: int = 1024 * _MIB
    integrators_max_bytes: int = 256 * _MIB
    """Of the integrators' copy of the events; when full, its oldest go."""
    integrators_max_age: Duration = EVENT_LIFETIME
    """Of an event in that copy; as long as the origin keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream; a bucket is a stream with the subjects and limits its kind prescribes."""

    name: str
    subjects: tuple[str, ...]
    limit: str
    """The setting that bounds its size."""
    former_subjects: tuple[str, ...] = ()
    """What earlier versions stored in it too, and nobody needs; what is stored of it stays for its time."""
    options: Mapping[str, Any] = field(default_factory=dict)

    def config(self, settings: TopologySettings) -> StreamConfig:
        """Return the configuration for the bus."""
        return StreamConfig(
            name=self.name,
            subjects=list(self.subjects),
            storage=StorageType.FILE,
            num_replicas=settings.replicas,
            max_bytes=getattr(settings, self.limit),
            **{
                "duplicate_window": settings.duplicate_window.total_seconds(),
                "retention": RetentionPolicy.LIMITS,
                **self.options,
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """One durable consumer: `<service>-<handler>`."""

    durable: str
    stream: str
    filters: tuple[str, ...]

    @property
    def service(self) -> str:
        """The service that may pull from it."""
        return self.durable.partition("-")[0]

    def config(self, settings: TopologySettings) -> ConsumerConfig:
        """Return the configuration for the bus."""
        return ConsumerConfig(
            name=self.durable,
            durable_name=self.durable,
            filter_subject=self.filters[0] if len(self.filters) == 1 else None,
            filter_subjects=list(self.filters) if len(self.filters) > 1 else None,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=settings.ack_wait.total_seconds(),
            max_deliver=-1,
            max_ack_pending=10_000,
        )


RECORDS = ("slipway.v1.state.job.*",)

CONSUMERS = (
    Consumer(durable="provisioner-run", stream=COMMANDS, filters=("slipway.v1.command.provisioner.job.run",)),
    Consumer(
        durable="provisioner-cancel", stream=COMMANDS, filters=("slipway.v1.command.provisioner.job.cancel",)
    ),
    Consumer(durable="inventory-records", stream=EVENTS, filters=RECORDS),
    Consumer(durable="inventory-guests", stream=EVENTS, filters=("slipway.v1.event.guest.*.>",)),
    Consumer(durable="inventory-nodes", stream=EVENTS, filters=("slipway.v1.event.node.*.observed",)),
    Consumer(durable="monitor-clusters", stream=EVENTS, filters=("slipway.v1.event.cluster.*.>",)),
)

_ADVISORY = "$JS.EVENT.ADVISORY.CONSUMER"

STREAMS = (
    Stream(
        name=COMMANDS,
        subjects=("slipway.v1.command.>",),
        limit="commands_max_bytes",
        options={"retention": RetentionPolicy.WORK_QUEUE, "discard": DiscardPolicy.NEW},
    ),
    Stream(
        name=EVENTS,
        subjects=("slipway.v1.event.>", "slipway.v1.state.>"),
        limit="events_max_bytes",
        options={
            "discard": DiscardPolicy.NEW,
            "allow_atomic": True,
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "allow_msg_ttl": True,
            "republish": RePublish(src=">", dest=f"{LIVE_PREFIX}>"),
        },
    ),
    Stream(
        name=DEAD_LETTERS,
        subjects=("slipway.v1.dead-letter.>",),
        limit="dead_letters_max_bytes",
        options={"max_age": EVENT_LIFETIME.total_seconds(), "allow_direct": True},
    ),
    Stream(
        # No service reads it, since none lets the bus give up a delivery: what stands there came from outside
        # of Slipway, and `nats stream view ADVISORIES` shows it.
        name=ADVISORIES,
        subjects=(
            f"{_ADVISORY}.MAX_DELIVERIES.>",
            # A delivered record that the next one replaces is reported as terminated too, several times a
            # job; so of EVENTS only the consumers count whose messages nothing replaces.
            f"{_ADVISORY}.MSG_TERMINATED.{COMMANDS}.>",
            *(
                f"{_ADVISORY}.MSG_TERMINATED.{EVENTS}.{each.durable}"
                for each in CONSUMERS
                if each.stream == EVENTS and each.filters != RECORDS
            ),
        ),
        former_subjects=(f"{_ADVISORY}.MSG_TERMINATED.>",),
        limit="advisories_max_bytes",
        options={"max_age": EVENT_LIFETIME.total_seconds()},
    ),
)

_BUCKET: Mapping[str, Any] = {
    "discard": DiscardPolicy.NEW,
    "allow_rollup_hdrs": True,
    "allow_direct": True,
    "duplicate_window": 120.0,
}


def _key_value(bucket: str, **options: bool) -> Stream:
    return Stream(
        name=f"KV_{bucket}",
        subjects=(f"$KV.{bucket}.>",),
        limit=f"{bucket}_max_bytes",
        options={**_BUCKET, "max_msgs_per_subject": 1, **options},
    )


BUCKETS = (
    _key_value(LIVE, deny_delete=True),
    _key_value(LOOKS, deny_delete=True),
    # A lease is released by deleting its one message, and ends by its own time to live. No markers: after
    # one, the key could not be created again until the marker ended.
    _key_value(LOCKS, allow_msg_ttl=True),
    Stream(
        name=f"OBJ_{BUNDLES}",
        subjects=(f"$O.{BUNDLES}.C.>", f"$O.{BUNDLES}.M.>"),
        limit="bundles_max_bytes",
        options=_BUCKET,
    ),
)

READS: Mapping[str, tuple[str, ...]] = {
    "gateway": (EVENTS, DEAD_LETTERS),
    "inventory": (EVENTS, DEAD_LETTERS, f"KV_{LOOKS}"),
    "provisioner": (EVENTS, f"OBJ_{BUNDLES}"),
    "monitor": (f"KV_{LIVE}", f"KV_{LOOKS}", f"KV_{LOCKS}", DEAD_LETTERS),
    "catalog": (f"OBJ_{BUNDLES}",),
}
"""Which streams and buckets a service reads directly, without a consumer."""

_LIFETIMES = {"log": LOG_LIFETIME, "observed": FACTS_LIFETIME}
_PREFIXES = {
    "slipway.v1.command.": COMMANDS,
    "slipway.v1.event.": EVENTS,
    "slipway.v1.state.": EVENTS,
    "slipway.v1.dead-letter.": DEAD_LETTERS,
}


def stream_of(subject: str) -> str | None:
    """Return the stream that stores a subject; None for queries."""
    return next((stream for prefix, stream in _PREFIXES.items() if subject.startswith(prefix)), None)


def consumer(durable: str) -> Consumer:
    """Return a consumer by its durable name."""
    return next(each for each in CONSUMERS if each.durable == durable)


def streams_of(service: str) -> tuple[str, ...]:
    """Return the streams and buckets that a service uses."""
    consumed = (each.stream for each in CONSUMERS if each.service == service)
    return tuple(dict.fromkeys((*READS.get(service, ()), *consumed)))


def lifetime(message: Message) -> timedelta | None:
    """Return how long a message is stored: events by their kind, the rest until it is replaced."""
    if not isinstance(message, Event):
        return None
    return _LIFETIMES.get(message.subject.rpartition(".")[2], EVENT_LIFETIME)


def dead_letter_subject(service: str, durable: str) -> str:
    """Return the subject of a consumer's dead letters."""
    return f"slipway.v1.dead-letter.{service}.{durable.removeprefix(service + '-')}"
