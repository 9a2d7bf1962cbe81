"""A cluster is connected by root's password: what is asked of whom, and what is left if it can't be saved."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from slipway.contracts import cluster_facts, clusters, connections
from slipway.contracts.checks import Check, CheckName, CheckState
from slipway.contracts.cluster_removal import RemoveCluster
from slipway.contracts.message import Done
from slipway.contracts.problems import Invalid, SlipwayError, Unavailable
from slipway.inventory import tables
from slipway.inventory.app import MIGRATIONS, register
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
from support.nats import MakeBus
from support.postgres import Databases

LOGIN = connections.NodeLogin(address="10.0.0.2", host_key=f"ssh-ed25519 {'A' * 60}")
NODE = cluster_facts.NodeFacts(node="pve", is_online=True, observed_at=datetime(2026, 1, 1, tzinfo=UTC))
FAILED = Check(name=CheckName.CREDENTIALS, state=CheckState.FAILED)


@dataclass
class World:
    """Inventory, and who answers it: as monitor and provisioner do."""

    keys: Identities
    tables: Database
    gateway: Bus
    refuses: bool = False
    """Whether the next tests fail."""
    is_node_away: bool = False
    made: list[str] = field(default_factory=list)
    """Ids under which there is access on the node."""
    like: str = ""
    """Whose limits the last access that was made takes over."""
    bound_to: cluster_facts.VmidRange | None = None
    """The VMIDs that the script binds the next key to."""
    tested: int = 0
    identity: str | None = "ca:AA"
    """What a test learns of the cluster."""
    meeting: asyncio.Barrier | None = None
    """Where tests wait for one another."""

    def sealer(self, service: str) -> Sealer:
        """Seal and open as a service does."""
        own = self.keys.sealing_file(service)
        return Sealer(ServiceSettings(sealing_key_file=own, sealing_public_file=self.keys.public_file))

    async def test(self, query: clusters.TestCluster, _call: Call) -> cluster_facts.ClusterFacts:
        """Answer as monitor does."""
        self.tested += 1
        facts = cluster_facts.ClusterFacts(version="9.0", nodes=(NODE,), identity=self.identity)
        if self.meeting is not None:
            await self.meeting.wait()
        if not self.refuses:
            return facts
        if query.is_anyway:
            return facts.model_copy(update={"checks": (FAILED,)})
        raise Invalid("The token is not accepted.", code="cluster.credentials-refused")

    async def make(self, query: connections.MakeNodeAccess, _call: Call) -> connections.MadeAccess:
        """Answer as the provisioner does: the password opens, and the script has run."""
        opened = self.sealer("provisioner").open(query.password, owner=query.name, field="password")
        assert opened.get_secret_value() == "root's"
        self.like = query.like
        self.made.append(query.id)
        seal = self.sealer("provisioner").seal
        secrets = {
            each: seal(SecretStr("s3cret"), to="inventory", owner=query.name, field=each)
            for each in ("token_secret", "ssh_private_key")
        }
        token = f"slipway-{self.made[-1]}@pve!main"
        return connections.MadeAccess(node="pve", token_id=token, ca="PEM", vmids=self.bound_to, **secrets)

    async def remove(self, query: connections.RemoveNodeAccess, _call: Call) -> Done:
        """Answer as the provisioner does."""
        if self.is_node_away:
            raise Unavailable("No SSH login.", code="connect.unreachable")
        self.made.remove(query.id)
        return Done()

    async def connect(self, *, name: str = "home", is_known: bool = False) -> clusters.Cluster:
        """Connect a cluster as the gateway does."""
        seal = self.sealer("gateway").seal
        password = seal(SecretStr("root's"), to="inventory", owner=name, field="password")
        with using(Call(actor="me", correlation_id=new_id())):
            return await self.gateway.ask(
                connections.ConnectCluster(name=name, login=LOGIN, password=password, is_known=is_known)
            )

    async def audit(self) -> list[tuple[str, str | None]]:
        """Return the outcomes of connections so far, and what each has left."""
        query = select(tables.audit).where(tables.audit.c.action == "cluster.connect")
        async with self.tables.autocommit() as tx:
            rows = (await tx.execute(query.order_by(tables.audit.c.at))).all()
        return [(row.outcome, row.details.get("left")) for row in rows]


@pytest.fixture
async def world(make_bus: MakeBus, databases: Databases, tmp_path: Path) -> AsyncIterator[World]:
    """Start inventory, and the others, on one bus."""
    ring = KeyRing.create(tmp_path / "ring.json")
    async with AsyncExitStack() as stack:
        database = Database(await databases.make("inventory", MIGRATIONS))
        stack.push_async_callback(database.dispose)
        made = World(keys=generate(tmp_path / "keys"), tables=database, gateway=await make_bus("gateway"))

        def provisioner(bus: Bus) -> None:
            bus.answer(connections.MakeNodeAccess, made.make)
            bus.answer(connections.RemoveNodeAccess, made.remove)

        def inventory(bus: Bus) -> None:
            register(bus, database, SecretBroker(made.sealer("inventory"), Vault(ring)), looks=Looks(bus))

        await make_bus("monitor", lambda bus: bus.answer(clusters.TestCluster, made.test))
        await make_bus("provisioner", provisioner)
        running = await make_bus("inventory", inventory)
        yield made
        await running.drain()


async def test_a_failure_leaves_nothing_or_says_what(world: World) -> None:
    """What was made is taken away; if the node is gone meanwhile, error and audit name what is left."""
    world.refuses = True
    with pytest.raises(SlipwayError, match="taken away again") as first:
        await world.connect()
    left_at_first = list(world.made)
    world.is_node_away = True
    with pytest.raises(SlipwayError, match="may be left") as second:
        await world.connect()

    assert (first.value.code, left_at_first) == ("cluster.credentials-refused", [])
    assert second.value.details["left"] == world.made[0]
    assert f"script --remove {world.made[0]}" in second.value.message
    assert await world.audit() == [
        ("begun", None),
        ("failed", None),
        ("begun", None),
        ("failed", world.made[0]),
    ]


async def test_two_at_once_are_one_cluster(world: World) -> None:
    """Even if no test learns which cluster it is, the second one is refused, and takes its access away."""
    world.identity, world.meeting = None, asyncio.Barrier(2)

    results = await asyncio.gather(world.connect(), world.connect(name="second"), return_exceptions=True)

    refused = [each for each in results if isinstance(each, SlipwayError)]
    assert [each.code for each in refused] == ["cluster.exists"]
    assert "taken away again" in refused[0].message
    assert len(world.made) == 1


async def test_new_access_ends_the_old_one_only_when_it_is_saved(world: World) -> None:
    """Until then the old token works; another name for the cluster's node changes nothing there."""
    home = await world.connect()
    first = list(world.made)
    world.refuses = True
    with pytest.raises(SlipwayError):
        await world.connect(is_known=True)
    after_failure = list(world.made)
    world.refuses = False
    changed = await world.connect(is_known=True)

    assert after_failure == first == [world.like]
    assert home.token_id == f"slipway-{first[0]}@pve!main"
    assert [changed.token_id] == [f"slipway-{each}@pve!main" for each in world.made]
    assert changed.token_id != home.token_id
    with pytest.raises(SlipwayError, match="'home'"):
        await world.connect(name="second")
    assert len(world.made) == 1


async def test_what_the_key_is_bound_to_is_chosen_from(world: World) -> None:
    """With the first key that is bound to one range, not against a range that somebody has set."""
    first, second = (cluster_facts.VmidRange(first=each, last=each + 99) for each in (200, 300))
    free = await world.connect()
    world.bound_to = first
    bound = await world.connect(is_known=True)
    world.bound_to = second
    again = await world.connect(is_known=True)

    assert (free.vmids, bound.vmids, again.vmids) == (None, first, first)


async def test_a_cluster_that_comes_back_gets_new_access(world: World) -> None:
    """Beside what was left on the node: a failure takes nothing of it away, a success all of it."""
    home = await world.connect()
    first = list(world.made)
    with using(Call(actor="me", correlation_id=new_id())):
        await world.gateway.ask(RemoveCluster(cluster="home"))
    world.refuses = True
    with pytest.raises(SlipwayError):
        await world.connect()
    after_failure = list(world.made)
    world.refuses = False
    back = await world.connect(name="again")

    assert after_failure == first
    assert back.id == home.id
    assert [back.token_id] == [f"slipway-{each}@pve!main" for each in world.made]
    assert back.token_id != home.token_id


async def test_what_one_insists_on_is_marked_until_it_passes(world: World) -> None:
    """A check takes the mark away, and puts it there."""
    home = await world.connect()
    world.refuses = True
    marked = await world.gateway.ask(clusters.CheckCluster(cluster="home"))
    shown = await world.gateway.ask(clusters.GetCluster(cluster="home"))
    world.refuses = False
    passed = await world.gateway.ask(clusters.CheckCluster(cluster=home.id))

    assert (home.failed_checks, shown.failed_checks) == ((), ("credentials",))
    assert (marked.checks, passed.failed_checks) == ((FAILED,), ())
