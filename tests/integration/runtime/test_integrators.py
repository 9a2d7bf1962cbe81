"""Integrators: ordinary clients in an account of their own, on a mirror of the events, obeyed by nobody."""

import asyncio
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import APIError, NotFoundError

from slipway.contracts.registry import SERVICES
from slipway.runtime.bus.client import Bus
from slipway.runtime.topology import mirror
from slipway.runtime.topology.mirror import mirror_config
from slipway.runtime.topology.permissions import ADMIN
from slipway.standalone.embedded.nats import EmbeddedNats
from support.messages import Phase, Record
from support.nats import SMALL
from support.users import Connect, MakeUser, refused_to_hear, refused_to_say
from support.waiting import until

EVENTS = "slipway.v1.event.>"
OF_JOB = "slipway.v1.event.job.j1.>"
PHASES = "slipway.v1.event.job.j1.phase"
ORIGIN = f"slipway.origin.CONSUMER.CREATE.EVENTS.evil.{PHASES}"
OBEYED = (
    "slipway.v1.query.inventory.container.delete",
    "slipway.v1.command.provisioner.job.run",
    "$KV.locks.x",
    ORIGIN,
    "$JS.API.STREAM.PURGE.EVENTS",
    "$JS.API.CONSUMER.DELETE.EVENTS.inventory-guests",
    "$JS.API.STREAM.CREATE.EVENTS",
)
"""What somebody acts on in the account of the services, or what leads there."""


async def steps(provisioner: Bus, count: int) -> None:
    """Write some phases of a job; each write is a record and an event."""
    last = 0
    for number in range(count):
        last = await provisioner.commit(
            Record(id="j1", step=number), [Phase(id="j1")], expected_sequence=last, commit_id=f"c{number}"
        )


async def plain(connect: Connect) -> Client:
    """Connect as an integrator who changes none of the client's defaults."""
    return await connect("integrator", inbox_prefix="_INBOX")


async def mirrored(client: Client, last: int) -> JetStreamContext:
    """Wait until the mirror has caught up."""
    bus = client.jetstream()

    async def has_caught_up() -> bool:
        return int((await bus.stream_info("EVENTS")).state.last_seq) >= last

    await until(has_caught_up, within_seconds=20)
    return bus


def sequence(message: Msg) -> int:
    return message.metadata.sequence.stream


async def test_ordinary_consumers_work(connect: Connect, make_user: MakeUser) -> None:
    """Pull, ordered push, durable push and direct get; events have the origin's sequences."""
    await steps(await make_user("provisioner"), 3)
    client = await plain(connect)
    bus = await mirrored(client, 6)

    pulling = await bus.pull_subscribe(OF_JOB, stream="EVENTS")
    pulled = await pulling.fetch(3, timeout=5)
    for message in pulled:
        await message.ack_sync()
    ordered = await bus.subscribe(OF_JOB, stream="EVENTS", ordered_consumer=True)
    pushed = [await ordered.next_msg(5) for _ in range(3)]
    durable = await bus.subscribe(EVENTS, stream="EVENTS", durable="mine")
    first = await durable.next_msg(5)
    direct = await bus.get_last_msg("EVENTS", PHASES, direct=True)

    assert [sequence(each) for each in pulled] == [2, 4, 6]
    assert [sequence(each) for each in pushed] == [2, 4, 6]
    assert (sequence(first), direct.seq) == (2, 6)
    assert {each.name for each in await bus.consumers_info("EVENTS")} >= {"mine"}
    assert await bus.delete_consumer("EVENTS", "mine")
    assert client.refusals == []  # type: ignore[attr-defined]  # set by the fixture


async def test_run_records_are_nowhere(connect: Connect, make_user: MakeUser) -> None:
    """Not stored in the mirror, not heard live."""
    await steps(await make_user("provisioner"), 2)
    client = await plain(connect)
    bus = await mirrored(client, 4)

    assert (await bus.stream_info("EVENTS", subjects_filter=">")).state.subjects == {PHASES: 2}
    with pytest.raises(NotFoundError):
        await bus.get_last_msg("EVENTS", "slipway.v1.state.job.j1", direct=True)
    closed = {"slipway.live.slipway.v1.state.job.*", "slipway.live.>", "slipway.mirror.>", EVENTS, ">"}
    assert await refused_to_hear(client, *closed) == closed


async def test_live_keeps_its_name(connect: Connect, make_user: MakeUser) -> None:
    """Events come as they are stored, under the subject that services hear too, with their sequence."""
    client = await plain(connect)
    heard: list[tuple[str, str]] = []

    async def note(message: Msg) -> None:
        heard.append((message.subject, (message.headers or {})["Nats-Sequence"]))

    await client.subscribe(f"slipway.live.{OF_JOB}", cb=note)
    await client.flush()
    await steps(await make_user("provisioner"), 2)

    subject = "slipway.live.slipway.v1.event.job.j1.phase"
    await until(lambda: len(heard) > 1)
    assert heard == [(subject, "2"), (subject, "4")]


async def test_nothing_but_reading_is_taken(connect: Connect) -> None:
    """Orders, facts, streams and the way to the origin are refused by the server."""
    client = await plain(connect)
    closed = {
        *OBEYED,
        PHASES,
        "slipway.live.slipway.v1.event.job.j1.phase",
        "slipway.mirror.M.x",
        *(f"$JS.API.STREAM.{verb}.EVENTS" for verb in ("UPDATE", "DELETE", "MSG.DELETE", "SNAPSHOT")),
        "$JS.API.CONSUMER.CREATE.KV_locks",
        "_INBOX.x",
    } - {"$JS.API.CONSUMER.DELETE.EVENTS.inventory-guests"}

    assert await refused_to_say(client, *closed) == closed


class Watched:
    """Everything that must stay as it was while an integrator tries."""

    def __init__(self, admin: Client, owner: Client) -> None:
        self.orders: list[str] = []
        self._admin = admin
        self._owner = owner

    async def start(self) -> None:
        """Listen to orders as services do."""

        async def note(message: Msg) -> None:
            self.orders.append(message.subject)

        for subject in ("slipway.v1.query.>", "slipway.v1.command.>", "$KV.>"):
            await self._admin.subscribe(subject, cb=note)
        await self._admin.flush()

    async def state(self) -> tuple[Any, ...]:
        """Return what is stored and who consumes it, on both sides."""
        ours, theirs = self._admin.jetstream(), self._owner.jetstream()
        streams = {each.config.name: each.state.messages for each in await ours.streams_info()}
        consumers = sorted(each.name for each in await ours.consumers_info("EVENTS"))
        mirror = {each.config.name: each.state.messages for each in await theirs.streams_info()}
        return streams, consumers, mirror


@pytest.fixture
async def watched(connect: Connect, make_user: MakeUser) -> Watched:
    """Some events, in the mirror too."""
    await steps(await make_user("provisioner"), 3)
    owner = await connect("integrators-admin")
    await mirrored(owner, 6)
    watched = Watched(await connect(ADMIN), owner)
    await watched.start()
    return watched


@pytest.mark.parametrize("target", OBEYED)
@pytest.mark.parametrize("content", ["whole", "headers"])
async def test_a_consumer_that_delivers_to_what_is_obeyed_moves_nothing(
    connect: Connect, watched: Watched, target: str, content: str
) -> None:
    """The server makes the consumer, in an account where nobody obeys."""
    before = await watched.state()
    bus = (await plain(connect)).jetstream()
    consumer = ConsumerConfig(
        name="evil",
        filter_subject=EVENTS,
        deliver_subject=target,
        ack_policy=AckPolicy.NONE,
        headers_only=content == "headers",
    )

    await bus.add_consumer("EVENTS", consumer)
    await asyncio.sleep(0.3)

    assert await watched.state() == before
    assert watched.orders == []


@pytest.mark.parametrize("target", OBEYED)
async def test_an_answer_sent_to_what_is_obeyed_moves_nothing(
    connect: Connect, watched: Watched, target: str
) -> None:
    """Who asks names the subject of the answer: empty ones, stored messages and descriptions of consumers."""
    before = await watched.state()
    client = await plain(connect)
    bus = client.jetstream()
    crafted = ConsumerConfig(
        name="evil", filter_subject=PHASES, deliver_subject=OBEYED[0], ack_policy=AckPolicy.NONE
    )
    await bus.add_consumer("EVENTS", crafted)
    await bus.add_consumer("EVENTS", ConsumerConfig(durable_name="idle", filter_subject=f"{EVENTS[:-1]}none"))

    await client.publish("$JS.API.CONSUMER.MSG.NEXT.EVENTS.idle", b'{"no_wait":true}', reply=target)
    await client.publish(f"$JS.API.DIRECT.GET.EVENTS.{PHASES}", b"", reply=target)
    await client.publish("$JS.API.CONSUMER.INFO.EVENTS.evil", b"", reply=target)
    await client.flush()
    await asyncio.sleep(0.3)

    assert await watched.state() == before
    assert watched.orders == []


async def test_a_lost_mirror_is_copied_anew(connect: Connect, make_user: MakeUser, watched: Watched) -> None:
    """An integrator can have the mirror deleted (an empty answer to the API); services don't notice."""
    before = await watched.state()
    client = await plain(connect)
    bus = client.jetstream()
    await bus.add_consumer("EVENTS", ConsumerConfig(durable_name="idle", filter_subject=f"{EVENTS[:-1]}none"))
    await client.publish(
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS.idle", b'{"no_wait":true}', reply="$JS.API.STREAM.DELETE.EVENTS"
    )

    async def is_empty() -> bool:
        return not (await watched.state())[2]

    await until(is_empty)
    assert (await watched.state())[:2] == before[:2]

    changes = await mirror.apply_mirror(await connect("integrators-admin"), SMALL)

    assert [(change.name, change.done) for change in changes] == [("INTEGRATORS/EVENTS", "created")]
    await mirrored(client, 6)
    assert await watched.state() == before


async def test_the_account_holds_one_stream(connect: Connect) -> None:
    """Even its administrator can't make the account take more of the disk."""
    owner = await connect("integrators-admin")

    with pytest.raises(APIError, match="maximum number of streams"):
        await owner.jetstream().add_stream(name="MORE", subjects=["more"])


async def test_the_mirror_is_applied_once(connect: Connect) -> None:
    """A second run changes nothing; limits change in place; a mirror of something else is replaced."""
    owner = await connect("integrators-admin")
    larger = SMALL.model_copy(update={"integrators_max_bytes": 2 * SMALL.integrators_max_bytes})

    assert await mirror.apply_mirror(owner, SMALL) == []
    (grown,) = await mirror.apply_mirror(owner, larger)
    await owner.jetstream().delete_stream("EVENTS")
    await owner.jetstream().add_stream(mirror_config(SMALL).evolve(deny_purge=False))
    (mended,) = await mirror.apply_mirror(owner, SMALL)

    assert grown.done == "updated max_bytes"
    assert mended.done == "copied anew for deny_purge"
    assert await mirror.apply_mirror(owner, SMALL) == []


async def test_services_do_not_need_the_mirror(connect: Connect, make_user: MakeUser) -> None:
    """Without it events are stored and delivered as ever, and no service can reach it."""
    await (await connect("integrators-admin")).jetstream().delete_stream("EVENTS")

    provisioner = await make_user("provisioner")
    await steps(provisioner, 3)

    assert await provisioner.last(Record, "j1") is not None
    for service in SERVICES:
        closed = {"slipway.mirror.>", "_INBOX.>"}
        assert await refused_to_hear(await connect(service), *closed) == closed


async def test_the_mirror_goes_on_after_a_restart(
    connect: Connect, make_user: MakeUser, guarded: EmbeddedNats
) -> None:
    """What was said while it looked away is copied."""
    provisioner = await make_user("provisioner")
    await steps(provisioner, 2)
    await mirrored(await plain(connect), 4)

    guarded.stop()
    guarded.start()
    again = await make_user("inventory")
    await again.ping()
    provisioner = await make_user("provisioner")
    held = await provisioner.last(Record, "j1")
    assert held is not None
    await provisioner.commit(
        Record(id="j1", step=9), [Phase(id="j1")], expected_sequence=held[1], commit_id="c9"
    )

    bus = await mirrored(await plain(connect), 6)
    assert (await bus.stream_info("EVENTS")).state.messages == 3
