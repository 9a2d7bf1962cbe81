"""A cluster is tried before it is added: what is there, or which of the inputs is wrong."""

from pathlib import Path
from typing import Any

import asyncssh
import pytest

from slipway.contracts.cluster_facts import ClusterFacts
from slipway.contracts.clusters import ClusterSpec, MemberEndpoint, SshNode, TestCluster
from slipway.contracts.problems import NotFound, SlipwayError
from slipway.contracts.tiers import TIERS, Tier
from slipway.lab.access.actors import SERVICE_ACL
from slipway.lab.faults import NodeDies, SshRefused
from slipway.lab.node import Lab
from slipway.monitor.connection_test.run import ConnectionTest
from slipway.proxmox.hosts import Cluster
from slipway.runtime.bus.client import Bus
from support.https_server import SILENCE, Answer, HttpsServer
from support.inventory_side import CLUSTER, Inventory, Monitor, spec_of
from support.lab import api_client, running_lab
from support.nats import MakeBus

OTHER_HOST_KEY = " ".join(
    asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2]
)


async def tried(inventory: Inventory, monitor: Monitor, spec: ClusterSpec, **secrets: str) -> ClusterFacts:
    query = TestCluster(spec=spec, secrets=inventory.secrets(spec.name, **secrets))
    return await ConnectionTest(monitor.sealer, record=None).run(query)


async def test_facts_of_a_cluster_are_sent_over_the_bus(
    inventory: Inventory, monitor: Monitor, make_bus: MakeBus
) -> None:
    """Everything that choices and rules need."""

    def register(bus: Bus) -> None:
        bus.answer(
            TestCluster,
            lambda query, _call: ConnectionTest(monitor.sealer, record=None).run(query),
        )

    await make_bus("monitor", register)
    asking = await make_bus("inventory")
    query = TestCluster(spec=spec_of(inventory.lab), secrets=inventory.secrets("home"))

    facts = await asking.ask(query)

    node = facts.nodes[0]
    assert (node.node, node.is_online, node.is_ssh_usable, node.ssh_problem) == ("lab", True, True, None)
    assert node.cores
    assert node.memory_bytes
    assert {"rootdir", "vztmpl"} <= {content for storage in node.storages for content in storage.content}
    assert all(storage.total_bytes for storage in node.storages if storage.is_active)
    assert [bool(bridge.subnets) for bridge in node.bridges] == [True]
    assert node.architecture in {"amd64", "arm64"}
    assert node.os_templates
    assert facts.offered_host_keys == {}


async def test_unconfirmed_host_key_is_offered(inventory: Inventory, monitor: Monitor) -> None:
    """A node without a confirmed key is not logged in to; its key is shown for comparison."""
    lab = inventory.lab
    spec = spec_of(lab, nodes={"lab": SshNode(address="127.0.0.1", port=lab.ssh_port)})

    facts = await tried(inventory, monitor, spec)

    assert not facts.nodes[0].is_ssh_usable
    assert "host key" in str(facts.nodes[0].ssh_problem)
    assert facts.offered_host_keys["lab"].split()[:2] == lab.ssh_host_key.split()[:2]


def other_key() -> str:
    """Make a private key that no node knows."""
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()


async def refused(inventory: Inventory, monitor: Monitor, spec: ClusterSpec, **secrets: str) -> SlipwayError:
    """Try a cluster that can't be added; the error, which shows no secret."""
    with pytest.raises(SlipwayError) as caught:
        await tried(inventory, monitor, spec, **secrets)
    document = caught.value.to_problem().model_dump_json()
    assert not [each for each in secrets.values() if each in document]
    return caught.value


def at(lab: Lab, **node: Any) -> ClusterSpec:
    """Return how the lab is reached, its node otherwise than it should be."""
    right = {"address": "127.0.0.1", "port": lab.ssh_port, "host_key": lab.ssh_host_key}
    return spec_of(lab, nodes={lab.name: SshNode(**(right | node))})


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("xx", "no private key"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== me@here", "public half"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "no private key"),
        ("\x00\xe9", "no private key"),
        ("LOCKED", "passphrase"),
    ],
)
async def test_what_is_no_private_key_is_named_before_any_node_is_asked(
    inventory: Inventory, monitor: Monitor, key: str, why: str
) -> None:
    """Nothing has to be reached for that; the key itself is not shown."""
    if key == "LOCKED":
        rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
        key = rsa.export_private_key("pkcs1-pem", passphrase="secret").decode()
    spec = spec_of(inventory.lab, endpoint="https://127.0.0.1:1")

    error = await refused(inventory, monitor, spec, ssh_private_key=key)

    assert error.code == "cluster.ssh-key-invalid"
    assert [each.field for each in error.errors] == ["ssh.private_key"]
    assert why in error.message


async def test_a_login_that_works_on_no_node_names_its_inputs(inventory: Inventory, monitor: Monitor) -> None:
    """A key that the node does not know, a user that it does not have: either may be the wrong one."""
    spec = spec_of(inventory.lab)

    wrong_key = await refused(inventory, monitor, spec, ssh_private_key=other_key())
    wrong_user = await refused(inventory, monitor, spec.model_copy(update={"ssh_username": "admin"}))
    unconfirmed = await refused(
        inventory, monitor, at(inventory.lab, host_key=None), ssh_private_key=other_key()
    )

    for error in (wrong_key, wrong_user, unconfirmed):
        assert error.code == "cluster.ssh-unusable"
        assert [each.field for each in error.errors] == ["ssh.private_key", "ssh.username"]
        assert "does not accept the SSH login" in error.message


async def test_a_wrong_password_is_named(inventory: Inventory, monitor: Monitor) -> None:
    """Beside the user, who may be the wrong one as well."""
    query = TestCluster(
        spec=spec_of(inventory.lab),
        secrets=inventory.secrets("home", ssh_password="nonsense").model_copy(
            update={"ssh_private_key": None}
        ),
    )
    with pytest.raises(SlipwayError) as caught:
        await ConnectionTest(monitor.sealer, record=None).run(query)

    assert [each.field for each in caught.value.errors] == ["ssh.password", "ssh.username"]


@pytest.mark.parametrize(
    ("node", "field"),
    [
        ({"host_key": OTHER_HOST_KEY}, "ssh.nodes.lab.host_key"),
        ({"port": 1}, "ssh.nodes.lab.address"),
        ({"address": "127.0.0.99", "port": 1, "host_key": None}, "ssh.nodes.lab.address"),
    ],
)
async def test_a_node_that_is_not_reached_is_named(
    inventory: Inventory, monitor: Monitor, node: dict[str, Any], field: str
) -> None:
    """Another host key than the node's, or nobody at the address, where no other node could be used."""
    error = await refused(inventory, monitor, at(inventory.lab, **node))

    assert error.code == "cluster.ssh-unusable"
    assert [each.field for each in error.errors] == [field]
    assert ("host_key" in field) == (inventory.lab.ssh_host_key in error.message)


async def test_one_node_that_works_is_enough(inventory: Inventory, monitor: Monitor, tmp_path: Path) -> None:
    """The other may be away, or have another key: that is a finding. Nor does one node pass for another."""
    async with running_lab(tmp_path / "two", nodes=2) as lab:
        first, second = (SshNode(address="127.0.0.1", port=d.port, host_key=d.host_key) for d in lab.doors)
        here = Inventory(lab, inventory.identities)
        away = second.model_copy(update={"port": 1})

        facts = await tried(here, monitor, spec_of(lab, nodes={"lab": first, "pve2": away}))
        twice = await tried(here, monitor, spec_of(lab, nodes={"lab": first, "pve2": first}))

    assert [node.is_ssh_usable for node in facts.nodes] == [True, False]
    assert "No SSH connection" in str(facts.nodes[1].ssh_problem)
    assert [node.is_ssh_usable for node in twice.nodes] == [True, False]
    assert "calls itself lab" in str(twice.nodes[1].ssh_problem)


async def test_a_known_cluster_is_tried_without_the_nodes_that_left(
    inventory: Inventory, monitor: Monitor
) -> None:
    """A new token can be sent although a node was renamed, and although no login works."""
    spec = at(inventory.lab, port=1)
    spec = spec.model_copy(update={"nodes": {**spec.nodes, "old": SshNode(host_key=OTHER_HOST_KEY)}})
    secrets = inventory.secrets(spec.name)

    query = TestCluster(spec=spec, secrets=secrets, is_known=True, needs_ssh=False)
    facts = await ConnectionTest(monitor.sealer, record=None).run(query)

    assert [node.node for node in facts.nodes] == ["lab"]
    assert not facts.nodes[0].is_ssh_usable


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"endpoint": "https://127.0.0.1:1"}, "endpoint", "cluster.unreachable"),
        ({"endpoint": "http://127.0.0.1"}, "endpoint", "proxmox.access-invalid"),
        ({"tls_fingerprint": "00" * 32}, "tls_fingerprint", "cluster.certificate-unexpected"),
        ({"tls_fingerprint": None, "ca": "nonsense"}, "ca", "proxmox.access-invalid"),
        ({"nodes": {"pve9": SshNode()}}, "ssh.nodes.pve9", "cluster.node-unknown"),
        ({"tls_fingerprint": None}, "tls_fingerprint", "cluster.certificate-unexpected"),
    ],
)
async def test_wrong_input_is_named(
    inventory: Inventory, monitor: Monitor, wrong: dict[str, Any], field: str, code: str
) -> None:
    """The error says which field is wrong, and for a certificate which one was seen."""
    with pytest.raises(SlipwayError) as refused:
        await tried(inventory, monitor, spec_of(inventory.lab, **wrong))

    assert [error.field for error in refused.value.errors] == [field]
    assert refused.value.code == code
    assert field != "tls_fingerprint" or inventory.lab.fingerprint in refused.value.message


@pytest.mark.parametrize(
    ("wrong", "field"), [({}, "token_secret"), ({"token_id": None, "username": "root@pam"}, "password")]
)
async def test_wrong_secret_is_named(
    inventory: Inventory, monitor: Monitor, wrong: dict[str, Any], field: str
) -> None:
    """Token or password, whichever was given; its value is not shown."""
    with pytest.raises(SlipwayError) as refused:
        await tried(inventory, monitor, spec_of(inventory.lab, **wrong), **{field: "nonsense"})

    assert refused.value.code == "cluster.credentials-refused"
    assert [error.field for error in refused.value.errors] == [field]
    assert "nonsense" not in refused.value.to_problem().model_dump_json()


async def test_missing_privilege_is_named(inventory: Inventory, monitor: Monitor, tmp_path: Path) -> None:
    """A token that may look but not create is refused with what it lacks."""
    acl = {"/": frozenset({"Sys.Audit", "VM.Audit", "Datastore.Audit"})}
    async with running_lab(tmp_path / "other", service_acl=acl) as lab:
        with pytest.raises(SlipwayError, match=r"VM\.Allocate") as refused:
            await tried(Inventory(lab, inventory.identities), monitor, spec_of(lab))

    assert [error.field for error in refused.value.errors] == ["token_id"]


async def test_root_with_a_password_is_enough(inventory: Inventory, monitor: Monitor, lab: Lab) -> None:
    """A lab at home has often nothing else."""
    spec = spec_of(lab, token_id=None, username="root@pam")

    facts = await tried(inventory, monitor, spec, password=lab.root_password)

    assert facts.nodes[0].is_ssh_usable


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(body=b"<html>"), "cluster.not-proxmox"),
        (Answer(status=404, reason="Not Found", body=b"<html>"), "cluster.not-proxmox"),
        pytest.param(SILENCE, "cluster.unreachable", marks=pytest.mark.slow),
    ],
)
async def test_something_else_that_answers_is_reported(
    inventory: Inventory, monitor: Monitor, tmp_path: Path, answer: Answer | str, code: str
) -> None:
    """A web server with the right certificate is no Proxmox; one that is silent does not hold us for ever."""
    with HttpsServer(tmp_path, lambda _: answer) as server:
        spec = spec_of(inventory.lab, endpoint=server.endpoint, tls_fingerprint=server.fingerprint)
        with pytest.raises(SlipwayError) as refused:
            await tried(inventory, monitor, spec)

    assert [error.field for error in refused.value.errors] == ["endpoint"]
    assert refused.value.code == code


async def test_each_endpoint_has_to_lead_to_the_cluster(
    inventory: Inventory, monitor: Monitor, tmp_path: Path
) -> None:
    """Another cluster's, nobody's and one that is not believed are named; a node's is fine."""
    async with running_lab(tmp_path / "two", nodes=2) as lab, running_lab(tmp_path / "other") as other:
        here = Inventory(lab, inventory.identities)
        own = lab.endpoints["pve2"]
        nodes = {
            door.name: SshNode(address="127.0.0.1", port=door.port, host_key=door.host_key)
            for door in lab.doors
        }

        facts = await tried(here, monitor, spec_of(lab, nodes=nodes, endpoints=(own,)))
        wrong = (own, other.endpoint, "https://127.0.0.1:1")
        error = await refused(here, monitor, spec_of(lab, nodes=nodes, endpoints=wrong))

    assert [node.tls_fingerprint for node in facts.nodes] == [lab.fingerprints[name] for name in lab.names]
    assert error.code == "cluster.endpoint-unusable"
    assert [each.field for each in error.errors] == ["endpoints.1", "endpoints.2"]
    assert other.fingerprint in error.errors[0].message


async def test_a_known_cluster_is_tried_through_any_of_its_nodes(
    inventory: Inventory, monitor: Monitor, tmp_path: Path
) -> None:
    """A new token can be sent while the endpoint's node is down; a wrong new endpoint is still reported."""
    async with running_lab(tmp_path / "two", nodes=2) as lab:
        here = Inventory(lab, inventory.identities)
        members = tuple(
            MemberEndpoint(endpoint=lab.endpoints[name], tls_fingerprint=lab.fingerprints[name])
            for name in lab.names
        )
        options = {"is_known": True, "needs_ssh": False, "members": members}
        lab.faults.order(NodeDies(node="lab"))

        async def run_test(spec: ClusterSpec) -> ClusterFacts:
            query = TestCluster.model_validate(
                {"spec": spec, "secrets": here.secrets("home"), "known_endpoints": (lab.endpoint,), **options}
            )
            return await ConnectionTest(monitor.sealer, record=None).run(query)

        spec = spec_of(lab, nodes={})
        facts = await run_test(spec)
        with pytest.raises(SlipwayError) as caught:
            await run_test(spec.model_copy(update={"endpoint": "https://127.0.0.1:1"}))

    assert facts.identity is not None
    assert [each.field for each in caught.value.errors] == ["endpoint"]


@pytest.mark.parametrize("lab", [{"service_acl": TIERS[Tier.OBSERVE].privileges}], indirect=True)
async def test_observe_needs_audit_rights_and_tries_no_ssh(inventory: Inventory, monitor: Monitor) -> None:
    """All facts are there, nothing is said of SSH; at a higher tier the same token lacks rights."""
    lab = inventory.lab
    ssh = lab.faults.order(SshRefused(times=1000))

    facts = await tried(inventory, monitor, spec_of(lab, tier=Tier.OBSERVE))
    error = await refused(inventory, monitor, spec_of(lab, tier=Tier.OPERATE))

    node = facts.nodes[0]
    assert (node.is_ssh_usable, node.ssh_problem, facts.offered_host_keys) == (False, None, {})
    assert lab.faults.met(ssh) == 0
    assert node.storages
    assert node.bridges
    assert error.code == "cluster.privilege-missing"
    assert "lacks Datastore.AllocateSpace, VM.Backup, VM.PowerMgmt, VM.Snapshot" in error.message


async def test_a_token_beyond_its_tier_is_refused(inventory: Inventory, monitor: Monitor) -> None:
    """A tier that is only written down protects nobody; the field and the surplus are named."""
    error = await refused(inventory, monitor, spec_of(inventory.lab, tier=Tier.OPERATE))

    assert error.code == "cluster.privilege-surplus"
    assert [each.field for each in error.errors] == ["token_id"]
    assert "VM.Allocate" in error.message


@pytest.mark.parametrize("lab", [{"service_acl": TIERS[Tier.OBSERVE].privileges}], indirect=True)
async def test_what_monitor_opens_below_full_has_no_shell(inventory: Inventory, monitor: Monitor) -> None:
    """Even where an SSH login is stored, nothing can use it."""
    inventory.elsewhere[CLUSTER] = spec_of(inventory.lab, tier=Tier.OBSERVE)

    async def look(cluster: Cluster) -> Cluster:
        return cluster

    opened = await monitor.clusters.run(CLUSTER, look)

    assert opened.access.nodes == {}
    assert monitor.clusters.tier(CLUSTER) is Tier.OBSERVE
    with pytest.raises(NotFound, match="it has tier observe"):
        opened.shell("lab")


async def test_pools_are_those_of_the_cluster(inventory: Inventory, monitor: Monitor, tmp_path: Path) -> None:
    """Also one that no right is given on; who may not see all of them knows of none that is missing."""
    lab = inventory.lab
    async with api_client(lab, as_root=True) as root:
        (await root.post("/pools", data={"poolid": "team1"})).raise_for_status()
    blind = {path: rights for path, rights in SERVICE_ACL.items() if path != "/pool"}

    facts = await tried(inventory, monitor, spec_of(lab))
    async with running_lab(tmp_path / "other", service_acl=blind) as other:
        unseen = await tried(Inventory(other, inventory.identities), monitor, spec_of(other))

    assert (facts.nodes[0].pools, facts.nodes[0].knows_pools) == (("team1",), True)
    assert (unseen.nodes[0].pools, unseen.nodes[0].knows_pools) == ((), False)
