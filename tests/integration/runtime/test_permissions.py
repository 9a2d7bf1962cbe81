"""Least privilege on a real server: what each user may do, and what each is refused."""

import asyncio
from datetime import timedelta
from typing import ClassVar

import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from slipway.contracts.clusters import GetClusterAccess, ListClusters, TestCluster
from slipway.contracts.containers import CreateContainer
from slipway.contracts.guests import DiscoverGuest, GuestChanged
from slipway.contracts.registry import SERVICES
from slipway.contracts.templates import GetTemplate
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.bus.kv import Bucket
from slipway.runtime.bus.locks import Lease
from slipway.runtime.bus.stored import read_all
from slipway.standalone.embedded.nats import EmbeddedNats
from support.messages import Appeared, Echo, Echoed, Log, Phase, Record, Run
from support.users import Connect, MakeUser, refused_to_hear, refused_to_say
from support.waiting import until


class ListAll(Echo):
    """A question that the gateway and monitor may ask."""

    subject: ClassVar[str] = ListClusters.subject


class GetAccess(Echo):
    """A question that the provisioner and monitor may ask."""

    subject: ClassVar[str] = GetClusterAccess.subject


class Changed(Appeared):
    """A fact that monitor may publish."""

    subject: ClassVar[str] = GuestChanged.subject


async def echo(query: Echo, _call: Call) -> Echoed:
    return Echoed(text=query.text)


async def test_nobody_unknown_gets_in(guarded: EmbeddedNats) -> None:
    """Without a key there is no connection."""
    with pytest.raises(nats.errors.Error):
        await nats.connect(guarded.url, allow_reconnect=False)


async def test_every_service_can_do_its_part(make_user: MakeUser) -> None:
    """Queries, commands, runs, logs, observations, leases and bundles work with least privilege."""
    ran: list[str] = []

    async def run(message: Run, _delivery: Delivery) -> None:
        claimed = await provisioner.commit(
            Record(id=message.id), [Phase(id=message.id)], expected_sequence=0, commit_id="c1"
        )
        fence = ("slipway.v1.state.job.j1", claimed)
        await provisioner.publish(Log(id=message.id), message_id="l1", fence=fence)
        assert await provisioner.last(Record, "j1") is not None
        ran.append(message.id)

    async def hear(message: Changed, _delivery: Delivery) -> None:
        ran.append(message.id)

    def inventory_registers(bus: Bus) -> None:
        bus.answer(ListAll, echo)
        bus.answer(GetAccess, echo)
        bus.consume(Changed, hear, durable="inventory-guests")

    inventory = await make_user("inventory", inventory_registers)
    provisioner = await make_user("provisioner", lambda bus: bus.consume(Run, run, durable="provisioner-run"))
    gateway, monitor, catalog = (
        await make_user("gateway"),
        await make_user("monitor"),
        await make_user("catalog"),
    )

    assert (await gateway.ask(ListAll(text="a"))).text == "a"
    assert (await provisioner.ask(GetAccess(text="b"))).text == "b"
    assert (await monitor.ask(GetAccess(text="c"))).text == "c"
    await inventory.publish(Run(id="j1"), message_id="r1")
    await monitor.publish(Changed(id="g1"), message_id="g1")
    await until(lambda: sorted(ran) == ["g1", "j1"])
    await Bucket(monitor, "live").put("c1.104", b"x")
    assert set(await Bucket(monitor, "live").entries()) == {"c1.104"}
    async with Lease(monitor, "poll.c1", timedelta(seconds=2)):
        pass
    async with Lease(monitor, "poll.c1", timedelta(seconds=2)):
        pass
    name = await Bundles(catalog).put(b"archive" * 50_000)
    assert await Bundles(provisioner).get(name) == b"archive" * 50_000
    assert len(await read_all(gateway.connection, "EVENTS", subject="slipway.v1.event.>")) == 3


SUBJECTS = {
    "command": "slipway.v1.command.provisioner.job.run",
    "record": "slipway.v1.state.job.j1",
    "job": "slipway.v1.event.job.j1.phase",
    "accepted": "slipway.v1.event.job.j1.accepted",
    "container": "slipway.v1.event.container.c1.ready",
    "guest": "slipway.v1.event.guest.g1.changed",
    "observed": "slipway.v1.event.node.n1.observed",
    "template": "slipway.v1.event.template.t1.served",
    "live": "$KV.live.x",
    "lock": "$KV.locks.x",
    "bundle": "$O.bundles.C.x",
    "republished": "slipway.live.slipway.v1.event.job.j1.phase",
    "create container": CreateContainer.subject,
    "list clusters": ListClusters.subject,
    "cluster access": GetClusterAccess.subject,
    "test cluster": TestCluster.subject,
    "discover guest": DiscoverGuest.subject,
    "get template": GetTemplate.subject,
    "ask anything": "slipway.v1.query.inventory.x.y",
    "take runs": "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.provisioner-run",
    "take guests": "$JS.API.CONSUMER.MSG.NEXT.EVENTS.inventory-guests",
    "read events": "$JS.API.DIRECT.GET.EVENTS",
    "create": "$JS.API.STREAM.CREATE.EVIL",
    "update": "$JS.API.STREAM.UPDATE.EVENTS",
    "delete": "$JS.API.STREAM.DELETE.EVENTS",
    "purge": "$JS.API.STREAM.PURGE.EVENTS",
    "delete message": "$JS.API.STREAM.MSG.DELETE.EVENTS",
    "consumer": "$JS.API.CONSUMER.CREATE.EVENTS.mine.slipway.v1.state.job.*",
    "inbox": "_INBOX_gateway.x",
}
ALLOWED: dict[str, set[str]] = {
    "gateway": {"create container", "list clusters", "get template", "read events"},
    "inventory": {
        *("command", "accepted", "container", "test cluster", "get template"),
        *("take guests", "read events"),
    },
    "provisioner": {"record", "job", "cluster access", "discover guest", "take runs", "read events"},
    "monitor": {"guest", "observed", "live", "lock", "list clusters", "cluster access"},
    "catalog": {"template", "bundle"},
    # In an account of its own, where these are the mirror's.
    "integrator": {"read events", "take guests", "consumer"},
}


@pytest.mark.parametrize("user", [*SERVICES, "integrator"])
async def test_the_permission_matrix(connect: Connect, user: str) -> None:
    """Each user may publish what its part needs and is refused everything else, by the server."""
    client = await connect(user)

    no = await refused_to_say(client, *SUBJECTS.values())

    assert {name for name, subject in SUBJECTS.items() if subject not in no} == ALLOWED[user]


@pytest.mark.parametrize("user", [*SERVICES, "integrator"])
async def test_nobody_hears_what_is_not_meant_for_him(connect: Connect, user: str) -> None:
    """No private inbox, no raw stored subject, no queries outside the own queue group."""
    client = await connect(user)
    other = "inventory" if user != "inventory" else "gateway"
    closed = {f"_INBOX_{other}.>", "slipway.v1.event.>", "slipway.v1.command.>", ">", "$KV.>"}

    assert await refused_to_hear(client, *closed) == closed
    assert await refused_to_hear(client, ListClusters.subject) == {ListClusters.subject}
    for group in {"inventory", "gateway"} - {user}:
        assert await refused_to_hear(await connect(user), GetClusterAccess.subject, queue=group)


async def test_only_the_gateway_hears_all_that_is_republished(connect: Connect) -> None:
    """Its hub needs every sequence; the provisioner hears records, for cancellation."""
    heard = {user for user in SERVICES if not await refused_to_hear(await connect(user), "slipway.live.>")}

    assert heard == {"gateway"}
    assert not await refused_to_hear(await connect("provisioner"), "slipway.live.slipway.v1.state.job.*")
    assert not await refused_to_hear(await connect("integrator"), "slipway.live.slipway.v1.event.>")


async def test_a_stored_message_pushed_onto_a_query_is_not_obeyed(
    connect: Connect, make_user: MakeUser
) -> None:
    """A push consumer can deliver facts to any subject; none of them counts as a question."""
    asked: list[str] = []

    async def note(query: ListAll, _call: Call) -> Echoed:
        asked.append(query.text)
        return Echoed(text="")

    await make_user("inventory", lambda bus: bus.answer(ListAll, note))
    monitor = await make_user("monitor")
    await monitor.publish(Changed(id="g1", text="do it"), message_id="m1")
    pushing = ConsumerConfig(
        name="evil",
        filter_subject="slipway.v1.event.>",
        deliver_subject=ListAll.subject,
        deliver_group="inventory",
        ack_policy=AckPolicy.NONE,
    )

    bus = (await connect("admin")).jetstream()
    await bus.add_consumer("EVENTS", pushing)
    await asyncio.sleep(0.3)

    consumer = await bus.consumer_info("EVENTS", "evil")
    assert consumer.delivered is not None
    assert consumer.delivered.stream_seq == 1
    assert asked == []


async def test_trap_14_pull_subscriptions_use_the_private_inbox(make_user: MakeUser) -> None:
    """A consumer works although nobody may listen on the default inboxes."""
    seen: list[str] = []

    async def note(message: Run, _delivery: Delivery) -> None:
        seen.append(message.id)

    inventory = await make_user("inventory")
    await make_user("provisioner", lambda bus: bus.consume(Run, note, durable="provisioner-run"))

    await inventory.publish(Run(id="j1"), message_id="m1")

    await until(lambda: bool(seen))
    assert seen == ["j1"]
