"""Inventory on a real bus and database: clusters are tested first; names, VMIDs and keys are claimed once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from pydantic import SecretStr
from sqlalchemy import select, text

from slipway.contracts import (
    audit,
    bulk,
    cluster_facts,
    clusters,
    container_specs,
    containers,
    form_facts,
    jobs,
    plans,
)
from slipway.contracts.job_kinds import JobKind, ResizeArgs
from slipway.contracts.message import Query
from slipway.contracts.problems import Conflict, Forbidden, Invalid, NotFound, Unavailable
from slipway.contracts.tiers import Tier
from slipway.contracts.values import JobState, Lifecycle, Phase
from slipway.inventory import tables
from slipway.inventory.app import LIMITS, MIGRATIONS, register
from slipway.inventory.containers.looks import Looks
from slipway.inventory.jobs import records
from slipway.inventory.jobs.enqueuer import JobEnqueuer
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.secrets.broker import SecretBroker
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call, using
from slipway.runtime.bus.client import Bus
from slipway.runtime.database.engine import Database
from slipway.runtime.errors import BusFull
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.secrets.vault import KeyRing, Vault
from slipway.runtime.topology.identities import Identities, generate
from support.nats import MakeBus
from support.postgres import Databases
from support.statements import counted_statements

TOKEN = "the token of this test"
SPEC = clusters.ClusterSpec(name="home", endpoint="https://pve:8006", token_id="a@pve!b")
ARCHIVE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
NODE = cluster_facts.NodeFacts(
    node="pve1",
    is_online=True,
    is_ssh_usable=True,
    storages=(cluster_facts.StorageFact(name="local-lvm", type="lvmthin", content=("rootdir",)),),
    bridges=(cluster_facts.BridgeFact(name="vmbr0"),),
    os_templates=(ARCHIVE,),
    vmids=(100,),
    observed_at=datetime(2026, 1, 1, tzinfo=UTC),
)
OWN_ADDRESS = "BC:24:11:0A:0B:0C"
"""Of the container that Slipway itself runs in; no test but its own has one."""


@dataclass
class World:
    """Inventory, who asks it, and who it asks."""

    keys: Identities
    tables: Database
    gateway: Bus
    inventory: Bus = field(init=False)
    looks: Looks = field(init=False)
    tested: list[clusters.TestCluster] = field(default_factory=list)
    ssh_limits: str | None = None
    """What the node binds the SSH key to."""

    def sealer(self, service: str) -> Sealer:
        """Seal and open as a service does."""
        own = self.keys.sealing_file(service)
        return Sealer(ServiceSettings(sealing_key_file=own, sealing_public_file=self.keys.public_file))

    def register(self, bus: Bus, database: Database, secret_broker: SecretBroker) -> None:
        """Register inventory's handlers; who wants looks to be heard of runs them."""
        self.looks = Looks(bus)
        register(bus, database, secret_broker, looks=self.looks, own_addresses=frozenset({OWN_ADDRESS}))

    async def test(self, query: clusters.TestCluster, _call: Call) -> cluster_facts.ClusterFacts:
        """Answer as monitor does."""
        self.tested.append(query)
        seen = NODE.model_copy(update={"ssh_limits": self.ssh_limits})
        return cluster_facts.ClusterFacts(version="9.0", nodes=(seen,))

    async def add(self, spec: clusters.ClusterSpec = SPEC, *, key: str | None = None) -> clusters.Cluster:
        """Add the cluster as the gateway does: sealed anew each time."""
        seal = self.sealer("gateway").seal
        secrets = {
            name: seal(SecretStr(TOKEN), to="inventory", owner=spec.name, field=name)
            for name in ("token_secret", "ssh_password")
        }
        with using(Call(actor="me", correlation_id=new_id(), idempotency_key=key)):
            return await self.gateway.ask(
                clusters.AddCluster(spec=spec, secrets=clusters.ClusterSecrets(**secrets))
            )

    async def create(
        self, hostname: str, *, key: str | None = None, vmid: int | None = None
    ) -> containers.Accepted:
        """Create a container as the gateway does."""
        spec = container_specs.ContainerSpec(hostname=hostname, ostemplate=ARCHIVE, vmid=vmid)
        with using(Call(actor="me", correlation_id=new_id(), idempotency_key=key)):
            return await self.gateway.ask(containers.CreateContainer(spec=spec))

    async def container(self, accepted: containers.Accepted) -> containers.Container:
        """Read it back."""
        return await self.gateway.ask(containers.GetContainer(container=accepted.container.id))


@pytest.fixture
async def world(make_bus: MakeBus, databases: Databases, tmp_path: Path) -> AsyncIterator[World]:
    """Start inventory, monitor and the gateway on one bus."""
    keys = generate(tmp_path / "keys")
    ring = KeyRing.create(tmp_path / "ring.json")
    async with AsyncExitStack() as stack:
        database = Database(await databases.make("inventory", MIGRATIONS))
        stack.push_async_callback(database.dispose)
        made = World(keys=keys, tables=database, gateway=await make_bus("gateway"))
        secret_broker = SecretBroker(made.sealer("inventory"), Vault(ring))
        await make_bus("monitor", lambda bus: bus.answer(clusters.TestCluster, made.test))
        made.inventory = await make_bus("inventory", lambda bus: made.register(bus, database, secret_broker))
        yield made
        await made.inventory.drain()


async def test_a_cluster_is_tested_then_saved_and_its_secrets_stay_sealed(world: World) -> None:
    """Monitor can open what it was given; the row holds no plain secret; the name is taken then."""
    added = await world.add()

    sealed = world.tested[0].secrets.token_secret
    assert sealed is not None
    opened = world.sealer("monitor").open(sealed, owner="home", field="token_secret")
    assert opened.get_secret_value() == TOKEN
    async with world.tables.begin() as connection:
        row = (await connection.execute(select(tables.clusters))).one()
    assert (row.id, set(row.secrets)) == (added.id, {"token_secret", "ssh_password"})
    assert TOKEN not in str(row)
    with pytest.raises(Conflict):
        await world.add()


async def test_a_creation_is_accepted_with_few_statements(world: World) -> None:
    """All that it writes is one, with the audit, what leaves for the bus and the reply for a repetition."""
    await world.add()

    with counted_statements() as statements:
        accepted = await world.create("web-1", key="k1")

    writes = [each for each in statements if "INSERT" in each]
    assert len(writes) == 1
    assert len(statements) <= 10
    async with world.tables.begin() as connection:
        job = (await connection.execute(select(tables.jobs))).one()
        subjects = (await connection.scalars(text("select subject from outbox order by id"))).all()
    assert (job.id, job.released_at, job.state) == (accepted.job.id, job.created_at, JobState.QUEUED)
    assert [each.removeprefix("slipway.v1.") for each in subjects][-3:] == [
        f"event.container.{accepted.container.id}.registered",
        f"event.job.{accepted.job.id}.accepted",
        "command.provisioner.job.run",
    ]


async def test_a_cluster_asked_for_again_under_its_key_is_answered_as_before(world: World) -> None:
    """Nothing is tested or made twice; another request under the same key is refused."""
    first = await world.add(key="once")
    again = await world.add(key="once")

    assert again == first
    assert len(world.tested) == 1
    with pytest.raises(Conflict) as refused:
        await world.add(SPEC.model_copy(update={"name": "other"}), key="once")
    assert refused.value.code == "idempotency.mismatch"


async def test_a_refused_cluster_names_its_field_and_is_not_tested(world: World) -> None:
    """A wrong endpoint costs no connection."""
    with pytest.raises(Invalid) as refused:
        await world.add(SPEC.model_copy(update={"endpoint": "http://pve"}))

    assert [each.field for each in refused.value.errors] == ["endpoint"]
    assert world.tested == []


async def test_only_those_who_reach_hosts_get_access(world: World) -> None:
    """The gateway gets nothing; the provisioner can open its copy."""
    added = await world.add()

    with pytest.raises(Forbidden):
        await world.gateway.ask(clusters.GetClusterAccess(cluster=added.id, seal_to="gateway"))
    access = await world.gateway.ask(clusters.GetClusterAccess(cluster=added.id, seal_to="provisioner"))

    sealed = access.secrets.token_secret
    assert sealed is not None
    opened = world.sealer("provisioner").open(sealed, owner=added.id, field="token_secret")
    assert opened.get_secret_value() == TOKEN


async def test_a_creation_is_filled_up_and_its_password_can_be_revealed_on_record(world: World) -> None:
    """Defaults come from the node; the reveal is sealed to the gateway and stands in the audit log."""
    await world.add()
    container = await world.container(await world.create("web-1"))
    assert (container.spec.storage, container.spec.networks[0].ip) == ("local-lvm", "dhcp")
    (credential,) = container.credentials

    shown = await world.gateway.ask(
        containers.RevealCredential(container=container.id, credential=credential.id)
    )

    secret = world.sealer("gateway").open(shown.value, owner=credential.id, field="value").get_secret_value()
    async with world.tables.begin() as connection:
        assert secret not in str((await connection.execute(select(tables.credentials))).one())
    entries = await world.gateway.ask(audit.ListAudit())
    assert "credential.reveal" in {entry.action for entry in entries.items}


async def test_a_name_asked_for_twice_at_once_is_given_once(world: World) -> None:
    """Exactly one of two gets it."""
    await world.add()

    came = await asyncio.gather(world.create("web-1"), world.create("web-1"), return_exceptions=True)

    assert sorted(type(each).__name__ for each in came if isinstance(each, containers.Accepted)) == [
        "Accepted"
    ]
    (refused,) = [each for each in came if isinstance(each, BaseException)]
    assert isinstance(refused, Conflict)


async def test_thirty_creations_at_once_get_thirty_vmids(world: World) -> None:
    """Nobody shares one, and the one in use on the host is not given."""
    await world.add()

    came = await asyncio.gather(*(world.create(f"web-{number}") for number in range(30)))

    assert {each.container.vmid for each in came} == set(range(101, 131))


async def test_a_full_bus_takes_no_new_job_but_repeats_what_it_said(world: World, admin: Client) -> None:
    """The refusal is a 503 that says why and changes nothing; a cancel and a repetition get through."""
    await world.add()
    first = await world.create("web-1", key="k1")
    config = (await admin.jetstream().stream_info("EVENTS")).config
    await admin.jetstream().publish("slipway.v1.event.job.x.log", b"x" * 90_000)

    await admin.jetstream().update_stream(config.evolve(max_bytes=100_000))
    await world.inventory.measure()

    with pytest.raises(Unavailable, match="EVENTS") as refused:
        await world.create("web-2")
    assert refused.value.code == BusFull.code
    assert await world.create("web-1", key="k1") == first
    assert (await world.gateway.ask(jobs.RequestCancel(job=first.job.id))).id == first.job.id
    await admin.jetstream().update_stream(config)
    await world.inventory.measure()
    assert (await world.create("web-2")).container.hostname == "web-2"


async def test_a_name_is_free_as_soon_as_its_job_has_ended(
    world: World, make_bus: MakeBus, admin: Client
) -> None:
    """The end stands in the record; that the row has not heard of it yet is nobody's business."""
    await world.add()
    first = await world.create("web-1", vmid=150)
    pause = b'{"pause_until": "2999-01-01T00:00:00Z"}'
    await admin.request("$JS.API.CONSUMER.PAUSE.EVENTS.inventory-records", pause)
    with pytest.raises(Conflict):
        await world.create("web-1")
    container = await world.container(first)
    target = jobs.Target.of(container)
    at = now()
    record = jobs.RunRecord(
        id=first.job.id,
        kind=JobKind.CREATE,
        state=JobState.CANCELLED,
        claim=1,
        commit=new_id(),
        owner="p",
        target=target,
        started_at=at,
        finished_at=at,
    )
    worker = await make_bus("provisioner")
    await worker.commit(record, (), expected_sequence=0, commit_id=record.commit)

    second = await world.create("web-1", vmid=150)

    assert second.container.id != first.container.id
    assert (await world.container(first)).lifecycle is Lifecycle.DELETED


async def test_a_vmid_in_use_is_refused(world: World) -> None:
    """Of the host's as well as of ours."""
    await world.add()
    await world.create("web-1", vmid=150)

    for vmid in (100, 150):
        with pytest.raises(Conflict) as refused:
            await world.create(f"web-{vmid}", vmid=vmid)
        assert [each.field for each in refused.value.errors] == ["vmid"]


async def test_a_range_of_vmids_is_the_clusters(world: World) -> None:
    """It can be set, used up and taken away; a wrong one is named by its field."""
    added = await world.add()
    with pytest.raises(Invalid) as wrong:
        await world.gateway.ask(
            clusters.SetVmidRange(cluster="home", vmids=cluster_facts.VmidRange(first=300, last=200))
        )
    vmids = cluster_facts.VmidRange(first=200, last=201)
    changed = await world.gateway.ask(clusters.SetVmidRange(cluster=added.id, vmids=vmids))

    container_vmids = [(await world.create(f"web-{number}")).container.vmid for number in range(2)]

    assert ([each.field for each in wrong.value.errors], changed.vmids) == (["last"], vmids)
    assert container_vmids == [200, 201]
    with pytest.raises(Conflict) as full:
        await world.create("web-2")
    assert full.value.code == "vmid.none-left"
    await world.gateway.ask(clusters.SetVmidRange(cluster="home", vmids=None))
    assert (await world.create("web-2")).container.vmid == 101


async def test_no_vmid_is_taken_that_the_key_may_not_enter(world: World) -> None:
    """Neither a named nor a chosen one; a range within what the key is bound to is the way."""
    world.ssh_limits = "mount /srv; vmids 200-299 400"
    await world.add()
    vmids = cluster_facts.VmidRange(first=200, last=299)

    with pytest.raises(Conflict, match="vmid-range") as refused:
        await world.create("web-1")
    named = await world.create("web-1", vmid=400)
    unknown = (await world.gateway.ask(form_facts.GetFormFacts(cluster="home"))).next_vmid
    await world.gateway.ask(clusters.SetVmidRange(cluster="home", vmids=vmids))
    chosen = await world.create("web-2")

    assert refused.value.code == "vmid.beyond-key"
    assert (named.container.vmid, unknown, chosen.container.vmid) == (400, None, 200)


async def test_a_tier_refuses_what_it_does_not_include(world: World) -> None:
    """Requests, plans, creations and the items of a batch, with how to raise it; what it includes goes on."""
    await world.add()
    web = (await world.create("web-1")).container.id
    lowered = await world.gateway.ask(clusters.ChangeClusterAccess(cluster="home", tier=Tier.OPERATE))
    resize = jobs.RequestJob(container=web, kind=JobKind.RESIZE, args=ResizeArgs(cores=2))

    start = jobs.RequestJob(container=web, kind=JobKind.START)
    requests: tuple[Query[Any], ...] = (resize, plans.PlanJob(request=resize), start)
    refusals = []
    for request in requests:
        with pytest.raises(Conflict) as refused:
            await world.gateway.ask(request)
        refusals.append(refused.value.code)
    with pytest.raises(Conflict, match=r"home has tier operate, and container.create needs full.*TIER=full"):
        await world.create("web-2")
    shown = await world.gateway.ask(
        bulk.PlanBatch(kind=JobKind.RESIZE, selection="101", args=ResizeArgs(cores=2))
    )

    # A start is refused only because the creation still works on the container.
    assert (lowered.tier, refusals) == (
        Tier.OPERATE,
        ["cluster.tier", "cluster.tier", "job.active"],
    )
    assert [each.error and each.error.code for each in shown.items] == ["cluster.tier"]


async def test_a_lower_tier_drops_the_ssh_login_and_full_needs_one(world: World) -> None:
    """Nothing of it stays in the row, and it is not tested below full; with one it comes back."""
    added = await world.add()
    await world.gateway.ask(clusters.ChangeClusterAccess(cluster="home", tier=Tier.OBSERVE))
    async with world.tables.begin() as connection:
        stored = await connection.scalar(select(tables.clusters.c.secrets))
    with pytest.raises(Invalid) as without:
        await world.gateway.ask(clusters.ChangeClusterAccess(cluster="home", tier=Tier.FULL))
    key = world.sealer("gateway").seal(SecretStr("x"), to="inventory", owner="home", field="ssh_password")
    secrets = clusters.ClusterSecrets(ssh_password=key)
    with pytest.raises(Invalid) as beside:
        await world.gateway.ask(clusters.ChangeClusterAccess(cluster="home", secrets=secrets))
    nodes = {"pve1": clusters.SshNode(host_key=f"ssh-ed25519 {'A' * 68}")}
    change = clusters.ChangeClusterAccess(cluster="home", tier=Tier.FULL, secrets=secrets, nodes=nodes)
    raised = await world.gateway.ask(change)

    assert (added.tier, raised.tier, set(stored or ())) == (Tier.FULL, Tier.FULL, {"token_secret"})
    assert [each.field for each in (*without.value.errors, *beside.value.errors)] == ["ssh", "ssh"]
    assert [each.needs_ssh for each in world.tested][1:] == [True, True]
    assert world.tested[-1].spec.nodes["pve1"].host_key == nodes["pve1"].host_key


async def test_a_key_gives_its_first_answer_again_and_never_another_requests(world: World) -> None:
    """The same request is replayed; another one under the key is refused."""
    await world.add()

    first = await world.create("web-1", key="k")

    assert await world.create("web-1", key="k") == first
    with pytest.raises(Conflict):
        await world.create("web-2", key="k")
    page = await world.gateway.ask(containers.ListContainers())
    assert [each.hostname for each in page.items] == ["web-1"]


async def test_a_key_used_twice_at_once_gets_one_answer(world: World) -> None:
    """Whoever comes while the first request is being done waits for its reply."""
    await world.add()

    came = await asyncio.gather(*(world.create("web-1", key="k") for _ in range(4)))

    assert len({each.job.id for each in came}) == 1


async def test_what_works_on_a_container_keeps_a_deletion_and_a_retry_away(world: World) -> None:
    """A container that is being created is busy, and its job is not one to retry."""
    await world.add()
    accepted = await world.create("web-1")

    with pytest.raises(Conflict):
        await world.gateway.ask(containers.DeleteContainer(container=accepted.container.id))
    with pytest.raises(Conflict) as refused:
        await world.gateway.ask(jobs.RetryJob(job=accepted.job.id))
    assert refused.value.code == "job.not-retryable"


async def test_an_unknown_container_is_not_found(world: World) -> None:
    """It is reported as that."""
    with pytest.raises(NotFound):
        await world.gateway.ask(containers.GetContainer(container=new_id()))


async def test_pages_of_containers_follow_each_other(world: World) -> None:
    """Each one is listed once."""
    await world.add()
    for number in range(5):
        await world.create(f"web-{number}")
    seen: list[str] = []
    cursor = None
    while True:
        page = await world.gateway.ask(containers.ListContainers(limit=2, cursor=cursor))
        seen += [each.hostname for each in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == [f"web-{number}" for number in range(5)]


async def test_where_a_run_stands_is_stored_with_one_statement(world: World) -> None:
    """Only a newer record is taken; once the container exists its VMID is its own."""
    await world.add()
    accepted = await world.create("web-1")
    unit = UnitOfWork(world.tables, JobEnqueuer(Queue(LIMITS)))
    running = jobs.RunRecord(
        id=accepted.job.id,
        kind=JobKind.CREATE,
        state=JobState.RUNNING,
        claim=1,
        commit=new_id(),
        owner="p",
        target=jobs.Target.of(await world.container(accepted)),
        percent=10,
        started_at=now(),
    )
    made = running.model_copy(update={"phase": Phase.START, "percent": 50, "exists_on_host": True})

    counts = []
    for record, sequence in ((running, 5), (made, 7), (running, 6)):
        with counted_statements() as statements:
            await records.store(unit, record, sequence)
        counts.append(len(statements))

    stored = await world.gateway.ask(jobs.GetJob(job=accepted.job.id))
    async with world.tables.begin() as connection:
        is_provisional = await connection.scalar(select(tables.containers.c.vmid_is_provisional))
    assert counts[:2] == [1, 1]
    assert (stored.state, stored.phase, stored.percent) == (JobState.RUNNING, Phase.START, 50)
    assert not is_provisional
