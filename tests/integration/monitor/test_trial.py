"""A cluster is tried before it is added: what is there, or which of the inputs is wrong."""

from pathlib import Path
from typing import Any

import asyncssh
import pytest

from slipway.contracts.clusters import ClusterFacts, ClusterSpec, SshNode, TestCluster
from slipway.contracts.problems import SlipwayError
from slipway.lab.node import Lab
from slipway.monitor.handlers import Handlers
from slipway.monitor.trial import Trial
from slipway.runtime.bus import Bus
from support.https_server import SILENCE, Answer, HttpsServer
from support.inventory_side import Inventory, Monitor, spec_of
from support.lab import running_lab
from support.nats import MakeBus


async def tried(inventory: Inventory, monitor: Monitor, spec: ClusterSpec, **secrets: str) -> ClusterFacts:
    query = TestCluster(spec=spec, secrets=inventory.secrets(spec.name, **secrets))
    return await Trial(monitor.sealer, record=None).test(query)


async def test_facts_of_a_cluster_are_told_over_the_bus(
    inventory: Inventory, monitor: Monitor, make_bus: MakeBus
) -> None:
    """Everything that choices and rules need."""

    def register(bus: Bus) -> None:
        bus.answer(
            TestCluster, Handlers(bus, Trial(monitor.sealer, record=None), monitor.discoverer).try_cluster
        )

    await make_bus("monitor", register)
    asking = await make_bus("inventory")
    query = TestCluster(spec=spec_of(inventory.lab), secrets=inventory.secrets("home"))

    found = await asking.ask(query)

    node = found.nodes[0]
    assert (node.node, node.is_online, node.is_ssh_usable, node.ssh_problem) == ("lab", True, True, None)
    assert node.cores
    assert node.memory_bytes
    assert {"rootdir", "vztmpl"} <= {content for storage in node.storages for content in storage.content}
    assert all(storage.total_bytes for storage in node.storages if storage.is_active)
    assert [bool(bridge.subnets) for bridge in node.bridges] == [True]
    assert node.os_templates
    assert found.offered_host_keys == {}


async def test_unconfirmed_host_key_is_offered(inventory: Inventory, monitor: Monitor) -> None:
    """A node without a confirmed key is not logged in to; its key is shown for comparison."""
    lab = inventory.lab
    spec = spec_of(lab, nodes={"lab": SshNode(address="127.0.0.1", port=lab.ssh_port)})

    found = await tried(inventory, monitor, spec)

    assert not found.nodes[0].is_ssh_usable
    assert "host key" in str(found.nodes[0].ssh_problem)
    assert found.offered_host_keys["lab"].split()[:2] == lab.ssh_host_key.split()[:2]


async def test_wrong_host_key_is_a_finding(inventory: Inventory, monitor: Monitor) -> None:
    """The API works, so the cluster can be seen; why SSH does not is said in words."""
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    node = SshNode(address="127.0.0.1", port=inventory.lab.ssh_port, host_key=other)

    found = await tried(inventory, monitor, spec_of(inventory.lab, nodes={"lab": node}))

    assert not found.nodes[0].is_ssh_usable
    assert "another SSH host key" in str(found.nodes[0].ssh_problem)


async def test_wrong_ssh_login_is_a_finding(inventory: Inventory, monitor: Monitor) -> None:
    """A key that the node does not know."""
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()

    found = await tried(inventory, monitor, spec_of(inventory.lab), ssh_private_key=other)

    assert "does not accept the SSH login" in str(found.nodes[0].ssh_problem)


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"endpoint": "https://127.0.0.1:1"}, "endpoint", "cluster.unreachable"),
        ({"endpoint": "http://127.0.0.1"}, "endpoint", "proxmox.access-invalid"),
        ({"tls_fingerprint": "00" * 32}, "tls_fingerprint", "cluster.certificate-unexpected"),
        ({"tls_fingerprint": None, "ca": "nonsense"}, "ca", "proxmox.access-invalid"),
        ({"nodes": {"pve9": SshNode()}}, "nodes.pve9", "cluster.node-unknown"),
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
    """Token or password, whichever was given; its value is not told."""
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

    found = await tried(inventory, monitor, spec, password=lab.root_password)

    assert found.nodes[0].is_ssh_usable


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(body=b"<html>"), "cluster.not-proxmox"),
        (Answer(status=404, reason="Not Found", body=b"<html>"), "cluster.not-proxmox"),
        pytest.param(SILENCE, "cluster.unreachable", marks=pytest.mark.slow),
    ],
)
async def test_something_else_that_answers_is_told(
    inventory: Inventory, monitor: Monitor, tmp_path: Path, answer: Answer | str, code: str
) -> None:
    """A web server with the right certificate is no Proxmox; one that is silent does not hold us for ever."""
    with HttpsServer(tmp_path, lambda _: answer) as server:
        spec = spec_of(inventory.lab, endpoint=server.endpoint, tls_fingerprint=server.fingerprint)
        with pytest.raises(SlipwayError) as refused:
            await tried(inventory, monitor, spec)

    assert [error.field for error in refused.value.errors] == ["endpoint"]
    assert refused.value.code == code
