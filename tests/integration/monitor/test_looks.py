"""What is wrong with a cluster or a node is reported within seconds, with a remedy, and is over by itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from slipway.contracts.cluster_facts import ClusterLook, NodeFacts, NodeLook, NodeObserved
from slipway.contracts.values import Outage
from slipway.lab import faults
from slipway.lab.node import Lab
from slipway.monitor.polling import node_health
from slipway.monitor.polling.watcher import ClusterWatcher
from slipway.monitor.settings import MonitorSettings
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.kv import Bucket
from slipway.runtime.process import clock
from slipway.runtime.process.ending import end
from slipway.runtime.topology.declared import LOOKS
from slipway.standalone.embedded.nats import EmbeddedNats
from support.inventory_side import CLUSTER, Inventory, Monitor, spec_of
from support.lab import api_client, new_container
from support.waiting import until

SOON_SECONDS = 10.0
"""Within which it has to be reported, beyond the poll interval."""
FROZEN = timedelta(seconds=12)
"""Longer than a lease lasts."""


class Watched:
    """A cluster that monitor watches, as who hears of it sees it."""

    def __init__(self, bus: Bus, lab: Lab, inventory: Inventory) -> None:
        self.bus = bus
        self.lab = lab
        self.looks: list[ClusterLook] = []
        self._inventory = inventory

    async def hear(self, admin: Client) -> None:
        """Hear all looks, and keep what is reported of nodes where inventory keeps it."""

        async def look(message: Msg) -> None:
            self.looks.append(ClusterLook.model_validate_json(message.data))

        async def facts(message: Msg) -> None:
            node_facts = NodeObserved.model_validate_json(message.data).facts
            self._inventory.nodes[node_facts.node] = node_facts

        await admin.subscribe(f"$KV.{LOOKS}.{CLUSTER}", cb=look)
        await admin.subscribe(NodeObserved.subject_filter(), cb=facts)

    async def until(self, is_so: Callable[[ClusterLook], bool]) -> ClusterLook:
        """Wait until a look is like this."""
        self.looks.clear()
        try:
            await until(lambda: any(map(is_so, self.looks)), within_seconds=SOON_SECONDS)
        except AssertionError:
            pytest.fail(f"the last look: {self.looks[-1:]}")
        return next(look for look in self.looks if is_so(look))

    async def outage(self, code: str) -> Outage:
        """Wait for the cluster's outage."""
        outage = (await self.until(lambda look: _code(look) == code)).outage
        assert outage is not None
        assert outage.remedy
        return outage

    async def of_node(self, node: str, code: str) -> Outage:
        """Wait for a node's outage, and until it was reported to inventory too."""
        outage = _node(await self.until(lambda look: _code(_node(look, node)) == code), node).outage
        await until(lambda: _code(self.facts(node)) == code, within_seconds=SOON_SECONDS)
        assert outage is not None
        return outage

    async def well(self) -> ClusterLook:
        """Wait until nothing is wrong any more."""
        began = clock.now()
        return await self.until(
            lambda look: (
                look.looked_at is not None
                and look.looked_at > began
                and bool(look.nodes)
                and _code(look) is None
                and all(_code(each) is None for each in look.nodes)
            )
        )

    def facts(self, node: str) -> NodeFacts:
        """What was reported of a node last."""
        return self._inventory.nodes[node]


@asynccontextmanager
async def watched(
    inventory: Inventory, monitor: Monitor, settings: MonitorSettings, admin: Client
) -> AsyncIterator[Watched]:
    """Watch the lab, which is well."""
    home = Watched(monitor.bus, inventory.lab, inventory)
    await home.hear(admin)
    task = asyncio.create_task(ClusterWatcher(monitor.bus, monitor.clusters, settings).run())
    try:
        await home.well()
        await until(lambda: set(inventory.nodes) == set(home.lab.names))
        yield home
    finally:
        await end(task)


@pytest.fixture
async def home(
    inventory: Inventory, monitor: Monitor, settings: MonitorSettings, admin: Client
) -> AsyncIterator[Watched]:
    """The lab, watched and well."""
    async with watched(inventory, monitor, settings, admin) as home:
        yield home


async def test_a_frozen_api_is_reported_and_is_over(home: Watched) -> None:
    """Connections are taken, nothing is answered; the last good look stays as old as it is."""
    order = home.lab.faults.order(faults.ApiFrozen())

    outage = await home.outage("cluster.no-answer")
    first = await home.until(lambda look: _code(look) == "cluster.no-answer")
    later = await home.until(lambda look: look.at > first.at)
    home.lab.faults.clear(order)
    await home.well()

    assert home.lab.endpoint in outage.message
    assert (first.looked_at, first.outage) == (later.looked_at, later.outage)
    assert first.looked_at is not None
    assert first.looked_at < outage.since


@pytest.fixture
def often_reading_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are read with each look; named before what looks."""
    monkeypatch.setattr(node_health, "TASKS_EVERY", timedelta())


async def test_tasks_of_our_own_token_are_shown(often_reading_tasks: None, home: Watched) -> None:
    """Root's are not: who else acts with the token is for inventory to find out."""
    async with api_client(home.lab) as ours, api_client(home.lab, as_root=True) as roots:
        await new_container(roots, home.lab, 100)
        await new_container(ours, home.lab, 101)

    look = await home.until(lambda look: bool(look.tasks))

    assert [(each.type, each.vmid) for each in look.tasks] == [("vzcreate", 101)]
    assert look.tasks[0].started_at is not None


async def test_an_expired_token_is_reported_and_is_over(home: Watched) -> None:
    """It names the token, and the request that gives another one."""
    order = home.lab.faults.order(faults.TokenExpired())

    outage = await home.outage("cluster.credentials-refused")
    home.lab.faults.clear(order)
    await home.well()

    assert home.lab.token_id in outage.message
    assert "`slipway cluster access home`, or PUT /api/v1/clusters/home/access" in outage.remedy
    assert home.lab.token_secret not in outage.model_dump_json()


async def test_a_renewed_certificate_is_reported_with_both_fingerprints(
    home: Watched, inventory: Inventory
) -> None:
    """It is over once the new one is accepted."""
    pinned = home.lab.fingerprint
    inventory.elsewhere[CLUSTER] = spec_of(home.lab)
    home.lab.faults.order(faults.CertificateRenewed())

    outage = await home.outage("cluster.certificate-changed")
    shown = home.lab.fingerprint
    inventory.elsewhere[CLUSTER] = spec_of(home.lab, tls_fingerprint=shown)
    await home.well()

    assert shown != pinned
    assert pinned in outage.message
    assert shown in outage.message
    assert f'PUT /api/v1/clusters/home/access {{"tls_fingerprint": "{shown}"}}' in outage.remedy


async def test_taken_rights_make_no_container_vanish(home: Watched) -> None:
    """What a filtered list leaves out is not gone; that rights are missing is reported."""
    async with api_client(home.lab) as client:
        await new_container(client, home.lab, 100)
        await new_container(client, home.lab, 101)
    await home.until(lambda look: [(each.first, each.last) for each in look.guests] == [(100, 101)])
    order = home.lab.faults.order(faults.RightsTaken(path="/vms*", rights=("VM.Audit",)))

    outage = await home.outage("cluster.privilege-missing")
    entries = await Bucket(home.bus, "live").entries()
    home.lab.faults.clear(order)
    look = await home.well()

    assert set(entries) == {f"{CLUSTER}-100", f"{CLUSTER}-101"}
    assert home.lab.token_id in outage.message
    assert [(each.first, each.last) for each in look.guests] == [(100, 101)]


async def test_a_storage_that_hangs_hides_only_storages(home: Watched) -> None:
    """The node stays online, its bridges are read, its storages are those known last."""
    before = home.facts("lab")
    slow = faults.SlowAnswer(method="GET", path="/nodes/*/storage", seconds=14, times=None)
    order = home.lab.faults.order(slow)

    outage = await home.of_node("lab", "node.storages-unknown")
    facts = home.facts("lab")
    home.lab.faults.clear(order)
    await home.well()

    assert (facts.is_online, facts.is_ssh_usable) == (True, True)
    assert [each.name for each in facts.storages] == [each.name for each in before.storages]
    assert (facts.bridges, facts.os_templates) == (before.bridges, before.os_templates)
    assert "pvesm status" in outage.remedy


PAUSED = {"id": "qemu/900", "type": "qemu", "vmid": 900, "node": "lab", "status": "paused", "tags": None}
NAMELESS = {"type": "qemu", "id": "qemu/901", "status": "io-error", "disk": 1.5}


async def test_odd_rows_blind_nobody(home: Watched) -> None:
    """A paused VM has its VMID; a container whose values are odd is seen."""
    lab = home.lab
    lab.faults.order(faults.ForeignRows(rows=(PAUSED, NAMELESS, {"type": "lxc", "vmid": None})))
    lab.faults.order(
        faults.ChangedRows(where={"type": "lxc"}, values={"tags": None, "disk": 0.5, "maxmem": {}})
    )
    async with api_client(lab) as client:
        await new_container(client, lab, 100)

    await until(lambda: home.facts("lab").vmids == (100, 900, 901), within_seconds=SOON_SECONDS)
    look = await home.well()

    assert [(each.first, each.last) for each in look.guests] == [(100, 100)]


@pytest.mark.parametrize("lab", [{"nodes": 2}], indirect=True)
async def test_a_dying_node_is_reported_before_its_cluster_calls_it_offline(home: Watched) -> None:
    """It is silent first, then offline, then well again; the other one is not concerned."""
    dies = faults.NodeDies(node="pve2", noticed_after=6.0, answered_after=30.0)
    order = home.lab.faults.order(dies)

    silent = await home.of_node("pve2", "node.no-answer")
    is_online = home.facts("pve2").is_online
    offline = await home.of_node("pve2", "node.offline")
    other = home.facts("pve1")
    home.lab.faults.clear(order)
    await home.well()

    assert is_online
    assert silent.since <= offline.since
    assert _code(other) is None
    assert home.facts("pve2").storages


@pytest.mark.parametrize("lab", [{"nodes": 2}], indirect=True)
async def test_a_node_that_has_left_is_reported_as_gone(home: Watched, inventory: Inventory) -> None:
    """It is marked as long as inventory keeps it, and nobody asks it anything."""
    home.lab.faults.order(faults.NodeGone(node="pve2"))

    outage = await home.of_node("pve2", "node.gone")
    is_online = home.facts("pve2").is_online
    del inventory.nodes["pve2"]
    await home.until(lambda look: [each.node for each in look.nodes] == ["pve1"])

    assert not is_online
    assert "pve1" in outage.message


async def test_a_frozen_bus_leaves_nothing_behind(home: Watched, nats_server: EmbeddedNats) -> None:
    """Once it goes on, looks are written anew within seconds, by whoever then has the lease."""
    frozen_at = clock.now()
    os.kill(nats_server.server.pid, signal.SIGSTOP)
    try:
        await until(lambda: clock.now() - frozen_at > FROZEN, within_seconds=20)
    finally:
        os.kill(nats_server.server.pid, signal.SIGCONT)

    look = await home.well()

    assert look.at > frozen_at + FROZEN


def _node(look: ClusterLook, node: str) -> NodeLook:
    return next((each for each in look.nodes if each.node == node), NodeLook(node=node))


def _code(seen: ClusterLook | NodeFacts | NodeLook) -> str | None:
    return seen.outage.code if seen.outage is not None else None
