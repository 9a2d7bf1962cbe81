"""What happens to guests and nodes is published and stored, by one replica at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from nats.aio.client import Client

from slipway.contracts.cluster_facts import NodeObserved
from slipway.contracts.clusters import ClusterAdded
from slipway.contracts.guests import GuestChanged, GuestGone, GuestStatus
from slipway.contracts.message import Message
from slipway.contracts.values import Power
from slipway.lab import faults
from slipway.monitor.access import ClusterConnections
from slipway.monitor.looks import Look
from slipway.monitor.polling.guests import GuestPoller
from slipway.monitor.polling.pace import Pace
from slipway.monitor.polling.watcher import ClusterWatcher
from slipway.monitor.settings import MonitorSettings
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.kv import Bucket
from slipway.runtime.process.ending import end
from slipway.runtime.topology.declared import LIVE
from support.https_server import HttpsServer, data
from support.inventory_side import CLUSTER, Inventory, Monitor, spec_of
from support.lab import api_client, ended, new_container
from support.nats import MakeBus
from support.waiting import until


class Heard:
    """Events in the order in which they came."""

    def __init__(self) -> None:
        self.events: list[Message] = []

    async def listen(self, admin: Client, *kinds: type[Message]) -> None:
        """Hear some kinds of events."""
        for kind in kinds:

            async def take(message: object, kind: type[Message] = kind) -> None:
                self.events.append(kind.model_validate_json(message.data))  # type: ignore[attr-defined]

            await admin.subscribe(kind.subject_filter(), cb=take)

    def powers(self) -> list[str]:
        """What was published of guests."""
        return [
            str(event.status.power) if isinstance(event, GuestChanged) else "gone"
            for event in self.events
            if isinstance(event, GuestChanged | GuestGone)
        ]

    def vmids(self) -> list[tuple[int, ...]]:
        """What was published of nodes."""
        return [event.facts.vmids for event in self.events if isinstance(event, NodeObserved)]


@asynccontextmanager
async def running(work: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    task = asyncio.create_task(work())
    try:
        yield
    finally:
        await end(task)


async def stored_guests(bus: Bus) -> dict[str, GuestStatus]:
    entries = await Bucket(bus, LIVE).entries()
    return {key: GuestStatus.model_validate_json(entry.value) for key, entry in entries.items()}


async def test_life_of_a_guest_is_published(
    inventory: Inventory, monitor: Monitor, settings: MonitorSettings, admin: Client
) -> None:
    """Made, started, destroyed: each is an event, the bucket holds what is, nodes name their VMIDs."""
    lab, heard = inventory.lab, Heard()
    await heard.listen(admin, GuestChanged, GuestGone, NodeObserved)
    fleet = ClusterWatcher(monitor.bus, monitor.clusters, settings)

    async with running(fleet.run), api_client(lab) as client:
        await until(lambda: heard.vmids()[-1:] == [()])
        await new_container(client, lab, 100)
        await until(lambda: heard.powers()[-1:] == ["stopped"])
        await until(lambda: heard.vmids()[-1] == (100,))
        upid = (await client.post("/nodes/lab/lxc/100/status/start")).json()["data"]
        assert await ended(client, upid) == "OK"
        await until(lambda: heard.powers()[-1:] == ["running"])
        stored = await until_stored(monitor.bus, f"{CLUSTER}-100", Power.RUNNING)
        assert stored.node == "lab"
        await client.delete("/nodes/lab/lxc/100", params={"force": 1})
        await until(lambda: heard.powers()[-1:] == ["gone"])
        await until(lambda: heard.vmids()[-1] == ())
        # The event comes first, then the entry goes.
        assert await until_gone(monitor.bus) == {}


async def test_what_was_published_is_not_published_again(
    inventory: Inventory, monitor: Monitor, settings: MonitorSettings, admin: Client, make_bus: MakeBus
) -> None:
    """A replica that takes over goes on from what is stored."""
    heard = Heard()
    async with api_client(inventory.lab) as client:
        await new_container(client, inventory.lab, 100)
    async with running(ClusterWatcher(monitor.bus, monitor.clusters, settings).run):
        await until_stored(monitor.bus, f"{CLUSTER}-100", Power.STOPPED)
    await heard.listen(admin, GuestChanged, GuestGone, NodeObserved)

    async with running(ClusterWatcher(monitor.bus, monitor.clusters, settings).run):
        await until(lambda: heard.vmids()[-1:] == [(100,)])

    assert heard.powers() == []


async def until_stored(bus: Bus, guest: str, power: Power) -> GuestStatus:
    """What is stored of a guest once it has this power: it is published first, then stored."""

    async def stored() -> GuestStatus | None:
        status = (await stored_guests(bus)).get(guest)
        return status if status is not None and status.power is power else None

    status = await until(stored)
    assert status is not None
    return status


async def until_gone(bus: Bus) -> dict[str, GuestStatus]:
    """Wait until nothing is stored of any guest."""

    async def is_gone() -> bool:
        return not await stored_guests(bus)

    await until(is_gone)
    return await stored_guests(bus)


async def test_a_poll_shows_that_a_lone_node_answers(settings: MonitorSettings, monitor: Monitor) -> None:
    """Its health is checked less often: between two checks its state is not called old."""
    look = Look(CLUSTER, every_seconds=2.0)
    look.note_node("lab", is_online=True, diagnosis=None)
    before = look.nodes["lab"].looked_at
    events = asyncio.Event(), asyncio.Event()
    poller = GuestPoller(
        CLUSTER, monitor.bus, monitor.clusters, look, Pace(settings), *events, lambda _cluster, _vmid: None
    )

    await poller.poll()

    after = look.nodes["lab"].looked_at
    assert before is not None
    assert after is not None
    assert after > before


async def test_new_cluster_is_watched_at_once(
    inventory: Inventory, settings: MonitorSettings, monitor: Monitor, admin: Client, make_bus: MakeBus
) -> None:
    """The event wakes monitor; the next listing would be far away."""
    heard = Heard()
    await heard.listen(admin, NodeObserved)
    fleet = ClusterWatcher(monitor.bus, monitor.clusters, settings)
    inventory.cluster_ids.clear()
    await make_bus(
        "monitor", lambda bus: bus.consume(ClusterAdded, fleet.cluster_changed, durable="monitor-clusters")
    )

    async with running(fleet.run):
        await asyncio.sleep(0)
        inventory.cluster_ids.append("c2")
        saying = await make_bus("inventory")
        await saying.publish(ClusterAdded(id="c2", name="c2"), message_id="c2")
        await until(lambda: heard.vmids()[-1:] == [()], within_seconds=6)

    assert [event.id for event in heard.events if isinstance(event, NodeObserved)] == ["c2-lab"]


async def test_clusters_are_asked_for_again_soon_after_a_refusal(
    inventory: Inventory, settings: MonitorSettings, monitor: Monitor, admin: Client
) -> None:
    """As when inventory starts later than monitor: nothing is polled until it says what there is."""
    heard = Heard()
    await heard.listen(admin, NodeObserved)
    inventory.refused_lists = 1

    async with running(ClusterWatcher(monitor.bus, monitor.clusters, settings).run):
        await until(lambda: heard.vmids() != [], within_seconds=15)

    assert inventory.refused_lists == 0


async def test_cluster_with_an_outage_keeps_no_other_waiting(
    inventory: Inventory, settings: MonitorSettings, monitor: Monitor, admin: Client
) -> None:
    """Refused credentials are asked for anew; when they are right, polling goes on."""
    heard = Heard()
    await heard.listen(admin, NodeObserved)
    inventory.token_secret = "nonsense"

    async with running(ClusterWatcher(monitor.bus, monitor.clusters, settings).run):
        await until(lambda: inventory.asked_for_access > 1)
        assert heard.events == []
        inventory.token_secret = None
        await until(lambda: heard.vmids()[-1:] == [()])


async def test_cluster_whose_answers_make_no_sense_keeps_no_other_waiting(
    inventory: Inventory,
    settings: MonitorSettings,
    monitor: Monitor,
    admin: Client,
    tmp_path: Path,
) -> None:
    """A proxy that answers `null` breaks what watches its cluster: logged once, and the lab is watched on."""
    heard = Heard()
    await heard.listen(admin, GuestChanged, NodeObserved)
    inventory.cluster_ids = [CLUSTER, "odd"]

    with HttpsServer(tmp_path, lambda _request: data(None)) as odd:
        changes = {"endpoint": odd.endpoint, "tls_fingerprint": odd.fingerprint, "nodes": {}}
        inventory.elsewhere["odd"] = spec_of(inventory.lab, **changes)
        async with (
            running(ClusterWatcher(monitor.bus, monitor.clusters, settings).run),
            api_client(inventory.lab) as client,
        ):
            await until(lambda: bool(odd.requests) and heard.vmids()[-1:] == [()])
            await new_container(client, inventory.lab, 100)
            await until(lambda: heard.powers()[-1:] == ["stopped"])

    assert heard.powers()[-1] == "stopped"


async def test_host_that_answers_with_errors_is_polled_again(
    inventory: Inventory, settings: MonitorSettings, monitor: Monitor, admin: Client
) -> None:
    """A guest made meanwhile is reported as soon as the host answers."""
    heard = Heard()
    await heard.listen(admin, GuestChanged, NodeObserved)

    async with (
        running(ClusterWatcher(monitor.bus, monitor.clusters, settings).run),
        api_client(inventory.lab) as client,
    ):
        await until(lambda: heard.vmids()[-1:] == [()])
        broken = inventory.lab.faults.order(
            faults.ApiError(method="GET", path="/cluster/resources", status=596, times=None)
        )
        await until(lambda: inventory.lab.faults.met(broken) > 0)
        await new_container(client, inventory.lab, 101)
        inventory.lab.faults.clear(broken)
        await until(lambda: heard.powers()[-1:] == ["stopped"], within_seconds=40)

    assert heard.powers()[-1] == "stopped"


async def test_one_replica_polls_and_another_takes_over(
    inventory: Inventory, settings: MonitorSettings, monitor: Monitor, admin: Client, make_bus: MakeBus
) -> None:
    """The second one reads nothing while the first one holds the lease, and goes on when that is gone."""
    heard = Heard()
    await heard.listen(admin, GuestChanged, NodeObserved)
    second = ClusterConnections(await make_bus("monitor"), monitor.sealer, record=None)
    first = asyncio.create_task(ClusterWatcher(monitor.bus, monitor.clusters, settings).run())
    await until(lambda: heard.vmids() != [])

    async with (
        running(ClusterWatcher(second._bus, second, settings).run),
        api_client(inventory.lab) as client,
    ):
        await asyncio.sleep(1)
        asked_by_first = inventory.asked_for_access
        first.cancel()
        await new_container(client, inventory.lab, 102)
        await until(lambda: heard.powers()[-1:] == ["stopped"], within_seconds=15)
        await until(lambda: inventory.asked_for_access == 2)

    await second.aclose()
    assert asked_by_first == 1
