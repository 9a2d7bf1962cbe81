"""A cluster is one cluster, however it is reached; taken out, it leaves nothing behind and can come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from slipway.contracts import (
    cluster_facts,
    cluster_removal,
    clusters,
    container_specs,
    containers,
    host_state,
)
from slipway.contracts.cluster_facts import ClusterFacts
from slipway.contracts.clusters import ChangeClusterAccess, Cluster, ClusterSpec
from slipway.contracts.problems import Conflict, Invalid, NotFound
from slipway.inventory import tables
from slipway.inventory.app import MIGRATIONS, register
from slipway.inventory.containers.host_check import HostCheck
from slipway.inventory.containers.looks import Looks
from slipway.inventory.secrets.broker import SecretBroker
from slipway.runtime.bus.call import Call, using
from slipway.runtime.bus.client import Bus
from slipway.runtime.database.engine import Database
from slipway.runtime.process.ids import new_id
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.secrets.vault import KeyRing, Vault
from slipway.runtime.topology.identities import Identities, generate
from slipway.standalone.uninstall.stored_clusters import read_stored
from support.lab import until
from support.nats import MakeBus
from support.postgres import Databases

ARCHIVE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
NODE = cluster_facts.NodeFacts(
    node="pve",
    address="10.0.0.2",
    is_online=True,
    is_ssh_usable=True,
    storages=(cluster_facts.StorageFact(name="local-lvm", type="lvmthin", content=("rootdir",)),),
    bridges=(cluster_facts.BridgeFact(name="vmbr0"),),
    os_templates=(ARCHIVE,),
    tls_fingerprint="AA:BB",
    observed_at=datetime(2026, 1, 1, tzinfo=UTC),
)
HOME, OTHER = "ca:AA", "ca:BB"


@dataclass
class World:
    """Inventory, and who answers it: as monitor and provisioner do."""

    keys: Identities
    tables: Database
    gateway: Bus
    identities: dict[str, str | None] = field(default_factory=dict)
    """What is found at an endpoint; `HOME` elsewhere."""
    tested: list[clusters.TestCluster] = field(default_factory=list)
    host_check: HostCheck = field(init=False)

    def sealer(self, service: str) -> Sealer:
        """Seal and open as a service does."""
        own = self.keys.sealing_file(service)
        return Sealer(ServiceSettings(sealing_key_file=own, sealing_public_file=self.keys.public_file))

    async def test(self, query: clusters.TestCluster, _call: Call) -> ClusterFacts:
        """Answer as monitor does."""
        self.tested.append(query)
        identity = self.identities.get(query.spec.endpoint, HOME)
        node = NODE.model_copy(update={"cluster_identity": identity})
        return ClusterFacts(version="9.0", nodes=(node,), identity=identity)

    async def guard(self, query: host_state.GetGuard, _call: Call) -> host_state.Guard:
        """Answer as the provisioner does: it is there."""
        return host_state.Guard(is_ours=True, node=query.target.node)

    async def add(self, name: str = "home", endpoint: str = "https://pve:8006", **spec: object) -> Cluster:
        """Add a cluster as the gateway does."""
        seal = self.sealer("gateway").seal
        secrets = {
            each: seal(SecretStr("s3cret"), to="inventory", owner=name, field=each)
            for each in ("token_secret", "ssh_password")
        }
        described = {"name": name, "endpoint": endpoint, "token_id": "a@pve!b", **spec}
        with using(Call(actor="me", correlation_id=new_id())):
            return await self.gateway.ask(
                clusters.AddCluster(
                    spec=ClusterSpec.model_validate(described), secrets=clusters.ClusterSecrets(**secrets)
                )
            )

    async def change(self, cluster: str, **changes: object) -> Cluster:
        """Change how it is reached."""
        return await self.gateway.ask(
            ChangeClusterAccess.model_validate({"cluster": cluster, "secrets": {}, **changes})
        )

    async def remove(self, cluster: str, *, is_plan: bool = False) -> cluster_removal.ClusterRemoval:
        """Take it out."""
        return await self.gateway.ask(cluster_removal.RemoveCluster(cluster=cluster, is_plan=is_plan))

    async def create(self, hostname: str) -> containers.Accepted:
        """Create a container as the gateway does."""
        spec = container_specs.ContainerSpec(hostname=hostname, ostemplate=ARCHIVE)
        with using(Call(actor="me", correlation_id=new_id())):
            return await self.gateway.ask(containers.CreateContainer(spec=spec))

    async def end_jobs(self) -> None:
        """Let all jobs have succeeded."""
        async with self.tables.begin() as connection:
            await connection.execute(update(tables.jobs).values(state="succeeded"))
            await connection.execute(update(tables.containers).values(lifecycle="ready"))

    async def container(self, accepted: containers.Accepted) -> containers.Container:
        """Read it back."""
        return await self.gateway.ask(containers.GetContainer(container=accepted.container.id))


@pytest.fixture
async def world(make_bus: MakeBus, databases: Databases, tmp_path: Path) -> AsyncIterator[World]:
    """Start inventory, and the others, on one bus."""
    ring = KeyRing.create(tmp_path / "ring.json")
    async with AsyncExitStack() as stack:
        database = Database(await databases.make("inventory", MIGRATIONS))
        stack.push_async_callback(database.dispose)
        made = World(keys=generate(tmp_path / "keys"), tables=database, gateway=await make_bus("gateway"))
        secret_broker = SecretBroker(made.sealer("inventory"), Vault(ring))
        await make_bus("monitor", lambda bus: bus.answer(clusters.TestCluster, made.test))
        await make_bus("provisioner", lambda bus: bus.answer(host_state.GetGuard, made.guard))

        def inventory(bus: Bus) -> None:
            made.host_check = register(bus, database, secret_broker, looks=Looks(bus))

        running = await make_bus("inventory", inventory)
        yield made
        await running.drain()


@pytest.mark.parametrize(
    ("endpoint", "more"),
    [
        ("https://pve:8006", {}),
        ("https://PVE", {}),
        ("HTTPS://Pve:8006/", {}),
        ("https://other:8006", {"endpoints": ("https://pve",)}),
    ],
)
async def test_an_endpoint_is_one_clusters_however_it_is_written(
    world: World, endpoint: str, more: dict[str, object]
) -> None:
    """The error names the first one; nothing is tried, and the first one keeps its VMIDs to itself."""
    await world.add("home", "https://pve:8006/")

    with pytest.raises(Conflict, match="'home'") as refused:
        await world.add("second", endpoint, **more)

    assert refused.value.code == "cluster.exists"
    for remedy in ("`slipway cluster access home --connect ADDRESS`", "`slipway cluster remove home`"):
        assert remedy in refused.value.message
    assert [each.field.partition(".")[0] for each in refused.value.errors] == [
        "endpoints" if more else "endpoint"
    ]
    assert len(world.tested) == 1


async def test_a_container_without_a_cluster_is_told_how_one_is_connected(world: World) -> None:
    """By the command first; the request stands beside it."""
    with pytest.raises(NotFound, match=r"`slipway cluster connect ADDRESS`.*POST /api/v1/clusters"):
        await world.create("web")


async def test_a_cluster_is_one_cluster_by_whichever_address(world: World) -> None:
    """Its nodes have names and addresses, but one authority; two requests at once are no way round."""
    added = await asyncio.gather(
        world.add("home", "https://pve:8006"), world.add("second", "https://10.0.0.2"), return_exceptions=True
    )

    (first,) = (each for each in added if isinstance(each, Cluster))
    (error,) = (each for each in added if isinstance(each, Conflict))
    assert (error.code, f"{first.name!r}" in error.message) == ("cluster.exists", True)
    assert first.identity == HOME


async def test_access_leads_to_the_same_cluster(world: World) -> None:
    """Neither to another one that is known, nor to one that is not; a new authority has to be named."""
    home = await world.add("home", "https://pve:8006")
    world.identities = {"https://third:8006": OTHER, "https://fourth:8006": "ca:CC"}
    await world.add("other", "https://third:8006")

    with pytest.raises(Conflict, match="'other'"):
        await world.change("home", endpoint="https://third")
    with pytest.raises(Conflict, match="ca:CC") as another:
        await world.change("home", endpoint="https://fourth")
    moved = await world.change("home", endpoint="https://10.0.0.2/", endpoints=("https://pve:8006",))
    renewed = await world.change(home.id, endpoint="https://fourth", identity="ca:CC")

    assert (another.value.code, [each.field for each in another.value.errors]) == (
        "cluster.another",
        ["endpoint"],
    )
    assert (moved.endpoint, moved.endpoints) == ("https://10.0.0.2:8006", ("https://pve:8006",))
    assert (renewed.id, renewed.identity) == (home.id, "ca:CC")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"endpoint": "https://pve:99999"}, "endpoint"),
        ({"endpoint": f"https://{'a' * 64}.b"}, "endpoint"),
        ({"endpoint": "https://pve..b"}, "endpoint"),
        ({"endpoint": "https://pve/api2"}, "endpoint"),
        ({"endpoints": ("https://pve2", "pve3")}, "endpoints.1"),
        ({"ssh_username": "ro ot"}, "ssh.username"),
        ({"nodes": {"pve": {"host_key": "xx"}}}, "ssh.nodes.pve.host_key"),
        ({"nodes": {"pve": {"address": f"{'a' * 64}.b"}}}, "ssh.nodes.pve.address"),
    ],
)
async def test_what_can_not_be_reached_is_refused_untried(
    world: World, wrong: dict[str, object], field: str
) -> None:
    """The field is named as it was sent."""
    with pytest.raises(Invalid) as refused:
        await world.add(**wrong)  # type: ignore[arg-type]  # any field of a description

    assert [each.field for each in refused.value.errors] == [field]
    assert world.tested == []


async def test_nodes_are_endpoints_as_well(world: World) -> None:
    """The access to the cluster names them, with the certificates that the cluster says they show."""
    added = await world.add("home", "https://pve:8443")
    access = clusters.GetClusterAccess(cluster=added.id, seal_to="monitor")
    answer = await world.gateway.ask(access)

    await world.gateway.ask(clusters.GetCluster(cluster="home"))

    assert [(each.endpoint, each.tls_fingerprint) for each in answer.members] == [
        ("https://10.0.0.2:8443", "AA:BB")
    ]


async def test_a_removal_waits_for_jobs_and_a_plan_of_it_changes_nothing(world: World) -> None:
    """It names the jobs; then it says what is held, and that all of it is still there."""
    await world.add()
    accepted = await world.create("web")
    with pytest.raises(Conflict, match=accepted.job.id) as busy:
        await world.remove("home")
    await world.end_jobs()

    plan = await world.remove("home", is_plan=True)

    assert busy.value.code == "cluster.busy"
    assert (plan.is_removed, plan.nodes, plan.finished_jobs) == (False, ("pve",), 1)
    assert [(each.id, each.hostname) for each in plan.containers] == [(accepted.container.id, "web")]
    assert not (await world.container(accepted)).is_forgotten


async def test_a_removed_cluster_leaves_no_secret_and_frees_its_name(world: World) -> None:
    """Its containers are forgotten; a second removal answers the same; nothing can be made there any more."""
    home = await world.add()
    accepted = await world.create("web")
    await world.end_jobs()

    removal, again = await world.remove("home"), await world.remove("home")

    async with world.tables.begin() as connection:
        row = (await connection.execute(select(tables.clusters))).one()
    assert row.secrets == {}
    assert removal.is_removed
    assert [each.id for each in again.containers] == [each.id for each in removal.containers]
    assert [each.id for each in removal.containers] == [accepted.container.id]
    assert (await world.container(accepted)).is_forgotten
    assert (await world.gateway.ask(clusters.ListClusters())).items == ()
    with pytest.raises(NotFound):
        await world.gateway.ask(clusters.GetCluster(cluster=home.id))
    with pytest.raises(NotFound):
        await world.gateway.ask(clusters.GetClusterAccess(cluster=home.id, seal_to="monitor"))
    await world.host_check.look()
    assert (await world.container(accepted)).is_forgotten
    world.identities = {"https://third:8006": OTHER}
    assert (await world.add("home", "https://third:8006")).id != home.id


async def test_what_a_removed_cluster_leaves_there_is_still_known(world: World, tmp_path: Path) -> None:
    """Its secrets are gone; under which id and where its access was made is said, and read at the end."""
    nodes = {"pve": {"address": "10.0.0.2", "port": 2222}}
    await world.add(token_id="slipway-ab12@pve!main", nodes=nodes)

    plan, removal = await world.remove("home", is_plan=True), await world.remove("home")
    (stored,) = await read_stored(world.tables, tmp_path / "ring.json")

    assert (plan.access_id, plan.address, plan.ssh_port) == ("ab12", "10.0.0.2", 2222)
    assert (removal.access_id, removal.address, removal.ssh_port) == ("ab12", "10.0.0.2", 2222)
    assert (stored.script_id, stored.address, stored.port) == ("ab12", "10.0.0.2", 2222)
    assert (stored.is_removed, stored.access) == (True, None)


async def test_a_cluster_that_is_added_again_brings_its_containers_back(world: World) -> None:
    """Under another name and by another address: it is what it is."""
    home = await world.add()
    accepted = await world.create("web")
    await world.end_jobs()
    await world.remove("home")

    back = await world.add("lab", "https://10.0.0.2")
    await world.host_check.look()

    container = await world.container(accepted)
    assert (back.id, back.name) == (home.id, "lab")
    assert (container.lifecycle, container.is_forgotten, container.cluster) == ("ready", False, "lab")


async def test_a_cluster_of_before_learns_what_it_is(world: World, make_bus: MakeBus) -> None:
    """It was added before that was looked at; once monitor has looked, it is not added twice."""
    world.identities = {"https://pve:8006": None}
    home = await world.add()
    facts = NODE.model_copy(
        update={"cluster_identity": HOME, "observed_at": datetime(2026, 1, 2, tzinfo=UTC)}
    )
    monitor = await make_bus("monitor-2")

    await monitor.publish(
        cluster_facts.NodeObserved(id=f"{home.id}-pve", cluster=home.id, facts=facts), message_id="seen"
    )

    async def has_learned() -> bool:
        return (await world.gateway.ask(clusters.GetCluster(cluster="home"))).identity == HOME

    await until(has_learned)
    with pytest.raises(Conflict, match="'home'"):
        await world.add("second", "https://10.0.0.2")
