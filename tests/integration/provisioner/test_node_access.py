"""Access to a new cluster is made on a node by root's password, and taken away; the node is the lab's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import httpx
import pytest
from pydantic import SecretStr

from slipway.contracts.connections import MadeAccess, MakeNodeAccess, NodeLogin, RemoveNodeAccess
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Sealed
from slipway.lab.faults import NodeOffline
from slipway.lab.node import Lab
from slipway.provisioner.cluster_access.maker import AccessMaker
from slipway.runtime.bus.call import Call
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.topology.identities import Identities, generate
from support.lab import api_client, running_lab, trust

CALL = Call(actor="me", correlation_id="test")
OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


@dataclass
class Node:
    """A lab of two nodes, and who makes access on the first one."""

    lab: Lab
    keys: Identities

    def sealer(self, service: str) -> Sealer:
        """Seal and open as a service does."""
        own = self.keys.sealing_file(service)
        return Sealer(ServiceSettings(sealing_key_file=own, sealing_public_file=self.keys.public_file))

    def login(self, **changes: object) -> NodeLogin:
        """Return where root's login is."""
        usual = {"address": "127.0.0.1", "port": self.lab.ssh_port, "host_key": self.lab.ssh_host_key}
        return NodeLogin.model_validate(usual | changes)

    def password(self, password: str | None = None) -> Sealed:
        """Seal root's password as inventory does."""
        secret = SecretStr(self.lab.root_password if password is None else password)
        return self.sealer("inventory").seal(secret, to="provisioner", owner="home", field="password")

    async def make(
        self, *, made_as: str = "ab12", password: str | None = None, known: str = "", **login: object
    ) -> MadeAccess:
        """Make access."""
        query = MakeNodeAccess(
            name="home",
            login=self.login(**login),
            password=self.password(password),
            id=made_as,
            known={known: "first"},
        )
        return await AccessMaker(self.sealer("provisioner")).make(query, CALL)

    async def remove(self, made_as: str) -> None:
        """Take it away."""
        query = RemoveNodeAccess(name="home", login=self.login(), password=self.password(), id=made_as)
        await AccessMaker(self.sealer("provisioner")).remove(query, CALL)

    async def status(self, made: MadeAccess) -> int:
        """Return the status with which the API answers to a token."""
        open_secret = self.sealer("inventory").open
        secret = open_secret(made.token_secret, owner="home", field="token_secret").get_secret_value()
        headers = {"Authorization": f"PVEAPIToken={made.token_id}={secret}"}
        async with httpx.AsyncClient(verify=trust(self.lab), headers=headers, timeout=60) as client:
            return (await client.get(f"{self.lab.endpoint}/api2/json/cluster/status")).status_code


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Run the lab."""
    async with running_lab(tmp_path / "lab", nodes=2, name=None) as lab:
        yield Node(lab=lab, keys=generate(tmp_path / "keys"))


async def test_makes_a_token_and_takes_only_that_away(node: Node) -> None:
    """Each id has a user, a token and a key of its own; what is removed is one id's."""
    first = await node.make(made_as="first")
    second = await node.make(made_as="second")
    before = [await node.status(each) for each in (first, second)]
    async with api_client(node.lab, as_root=True) as root:
        granted = (await root.get("/access/acl")).json()["data"]
    await node.remove("second")

    assert {"slipway-first@pve", "slipway-second@pve"} <= {each["ugid"] for each in granted}
    assert (first.token_id, first.node, first.ca) == (
        "slipway-first@pve!main",
        "pve1",
        node.lab.certificate_authority,
    )
    assert before == [200, 200]
    assert [await node.status(each) for each in (first, second)] == [200, 401]
    assert first.ssh_private_key is not None


@pytest.mark.parametrize(
    ("changes", "code", "check"),
    [
        ({"password": "wrong"}, "connect.password-refused", "node-login"),
        ({"host_key": OTHER_KEY}, "connect.host-key-differs", "node-login"),
        ({"port": 1}, "connect.unreachable", "node-login"),
    ],
)
async def test_says_what_keeps_it_out(node: Node, changes: dict[str, str], code: str, check: str) -> None:
    """Each cause has its code, its check and a remedy; the password is in none of them."""
    with pytest.raises(SlipwayError) as refused:
        await node.make(**changes)

    (failed,) = (each for each in refused.value.checks if each.is_obstacle)
    assert (refused.value.code, failed.name) == (code, check)
    assert failed.remedy
    assert node.lab.root_password not in refused.value.message
    assert not (node.lab.data / "host/etc/pve/user.cfg").exists()


@pytest.mark.parametrize(
    "blob", ["A" * 60, "AAAAB3NzaC1yc2EAAAABAQAAACAFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQ=="]
)
async def test_a_host_key_that_is_none_is_named(node: Node, blob: str) -> None:
    """It looks like one; what is inside is nothing, or a number that is no key."""
    with pytest.raises(SlipwayError, match="shows on the node") as refused:
        await node.make(host_key=f"ssh-rsa {blob}")

    assert [each.field for each in refused.value.errors] == ["host_key"]
    assert not (node.lab.data / "host/etc/pve/user.cfg").exists()


async def test_a_known_cluster_is_refused_before_anything_is_made(node: Node) -> None:
    """Its certificate authority says which one it is; the error names it."""
    made = await node.make()
    identity = f"ca:{_fingerprint(node.lab)}"
    with pytest.raises(SlipwayError, match="'first'") as refused:
        await node.make(made_as="other", known=identity)

    assert refused.value.code == "cluster.exists"
    assert await node.status(made) == 200
    assert "other" not in (node.lab.data / "host/etc/pve/user.cfg").read_text()


async def test_a_script_that_fails_says_why_in_proxmox_own_words(node: Node) -> None:
    """A cluster without quorum takes no change."""
    node.lab.faults.order(NodeOffline(node="pve2"))

    with pytest.raises(SlipwayError, match="no quorum") as failed:
        await node.make()

    assert (failed.value.code, failed.value.details["id"]) == ("connect.script-failed", "ab12")


def _fingerprint(lab: Lab) -> str:
    shown = next(
        each for each in lab._certificates(lab.name).shown() if each["filename"] == "pve-root-ca.pem"
    )
    return str(shown["fingerprint"])
