"""Three ways from an empty Slipway to a connected cluster, as they are typed; the node is a lab beside it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from support.command_line import slipway
from support.stack import RunningStack, running_stack, stack_folder
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
SECONDS = 60.0


@dataclass(frozen=True)
class Node:
    """The lab's node, by its `lab.json`."""

    lab: dict[str, Any]

    @property
    def api_port(self) -> str:
        """Where its API listens."""
        return str(self.lab["endpoint"].rpartition(":")[2])

    @property
    def ports(self) -> tuple[str, ...]:
        """The options that say where its SSH and its API are."""
        return ("--port", str(self.lab["ssh_port"]), "--api-port", self.api_port)

    def secret(self, name: str) -> str:
        """Read one of its secrets."""
        return Path(self.lab[f"{name}_file"]).read_text().strip()

    @property
    def users(self) -> int:
        """How many users `pveum` has made."""
        path = Path(self.lab["token_secret_file"]).parents[1] / "host/etc/pve/user.cfg"
        return path.read_text().count("user:") if path.exists() else 0

    async def run(self, script: str) -> str:
        """Run a script as root, as `ssh root@NODE sh -s` does; return what it prints."""
        async with asyncssh.connect(
            "127.0.0.1",
            self.lab["ssh_port"],
            username="root",
            password=self.secret("root_password"),
            known_hosts=asyncssh.import_known_hosts(
                f"[127.0.0.1]:{self.lab['ssh_port']} {self.lab['ssh_host_key']}\n"
            ),
            config=None,
        ) as connection:
            return str((await connection.run("sh -s", input=script, check=True, timeout=SECONDS)).stdout)


@contextmanager
def running_node(data: Path) -> Iterator[Node]:
    """Run a lab of its own process."""
    command = [sys.executable, "-m", "slipway.lab", "serve", "--data", str(data), "--guests", "simulated"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        asyncio.run(until((data / "lab.json").exists, within_seconds=SECONDS))
        yield Node(json.loads((data / "lab.json").read_text()))
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningStack, Node]]:
    """An empty Slipway, and a node that it does not know."""
    folder = tmp_path_factory.mktemp("node")
    with stack_folder() as data, running_node(folder) as node, running_stack(data=data) as stack:
        yield stack, node


@pytest.fixture
def empty(both: tuple[RunningStack, Node]) -> Iterator[tuple[RunningStack, Node]]:
    """The same, without the cluster of the test before."""
    yield both
    asyncio.run(slipway(both[0], "cluster", "remove", "home", "--yes"))


async def test_by_address_and_password(empty: tuple[RunningStack, Node]) -> None:
    """Two answers after the address; later the ports are known. No file has the password; it is audited."""
    stack, node = empty
    password = node.secret("root_password")
    connect = ("cluster", "connect", "127.0.0.1", *node.ports)

    status, output = await slipway(stack, *connect, typed=f"y\n{password}\n")
    again, refusal = await slipway(stack, *connect, "--name", "second", "--accept-new", typed=f"{password}\n")

    assert status == 0, output
    assert "ok   privileges" in output
    assert f"SHA256:{_fingerprint(node)}" in output
    assert (again, "'home'" in refusal) == (1, True)
    files = [each for each in stack.data.rglob("*") if each.is_file()]
    assert [each for each in files if password.encode() in each.read_bytes()] == []
    async with stack.client() as api:
        entries = (await api.get("/api/v1/audit", params={"limit": 4})).json()["items"]
    assert [(each["action"], each["outcome"]) for each in entries[1:]] == [
        ("cluster.connect", "done"),
        ("cluster.add", "done"),
        ("cluster.connect", "begun"),
    ]
    access = ("cluster", "access", "home", "--connect", "127.0.0.1", "--tier", "observe", "--accept-new")
    renewed, report = await slipway(stack, *access, typed=f"{password}\n")
    assert renewed == 0, report


async def test_what_was_made_is_taken_away_if_the_cluster_can_not_be_saved(
    empty: tuple[RunningStack, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here, unattended, the API's port is wrong: the token exists, and nobody answers."""
    stack, node = empty
    ports = ("--port", str(node.lab["ssh_port"]), "--api-port", "1")

    monkeypatch.setenv("SLIPWAY_CONNECT_PASSWORD", node.secret("root_password"))
    trusted = ("--host-key", f"SHA256:{_fingerprint(node)}")
    before = node.users

    status, output = await slipway(stack, "cluster", "connect", "127.0.0.1", *ports, *trusted)

    assert (status, "FAIL reachable" in output, "taken away again" in output) == (1, True, True)
    assert node.users == before


async def test_by_the_script(empty: tuple[RunningStack, Node], tmp_path: Path) -> None:
    """Printed here, run there, read here; run once more it gives new access to the same cluster."""
    stack, node = empty
    endpoint = ("--endpoint", node.lab["endpoint"], "--port", str(node.lab["ssh_port"]))
    file = tmp_path / "cluster.json"
    made = []
    for _ in range(2):
        _, document = await slipway(stack, "cluster", "script", "-o", "json", "--vmids", "100-199")
        made.append(json.loads(document))

    file.write_text(await node.run(made[0]["script"]))
    added, output = await slipway(stack, "cluster", "add", str(file), *endpoint)
    file.write_text(await node.run(made[1]["script"]))
    changed, report = await slipway(stack, "cluster", "access", "home", str(file))

    assert added == 0, output
    assert changed == 0, report
    assert f"slipway cluster script --remove {made[0]['id']}" in report
    async with stack.client() as api:
        cluster = (await api.get("/api/v1/clusters/home")).json()
    assert cluster["token_id"] == f"slipway-{made[1]['id']}@pve!main"
    assert [each["ssh_limits"] for each in cluster["nodes"]] == ["vmids 100-199"]
    assert cluster["vmids"] == {"first": 100, "last": 199}


async def test_by_hand(empty: tuple[RunningStack, Node]) -> None:
    """Each field is asked for, what the machine shows is compared, and only what works is saved."""
    stack, node = empty
    key = node.lab["ssh_private_key_file"]
    answers = ["", node.lab["endpoint"], "", str(node.lab["ssh_port"]), "y", node.lab["token_id"]]
    wrong = [*answers, "0" * 8, "y", "", "/none", key]
    silent = ["", "https://127.0.0.1:1", "admin", "", answers[3], answers[1], *answers[3:]]
    right = [*silent, node.secret("token_secret"), "y", "", key]

    refused, why = await slipway(stack, "cluster", "add", typed="".join(f"{each}\n" for each in wrong))
    insisted, marked = await slipway(
        stack, "cluster", "add", "--anyway", typed="".join(f"{each}\n" for each in wrong)
    )
    await slipway(stack, "cluster", "remove", "home", "--yes")
    added, output = await slipway(stack, "cluster", "add", typed="".join(f"{each}\n" for each in right))

    assert (refused, "FAIL credentials" in why) == (1, True)
    assert ("no such file" in why, "/none" in why, why.count("The certificate of")) == (True, False, 1)
    assert (insisted, "marked with the checks that failed: credentials" in marked) == (0, True)
    assert (added, "ok   ssh" in output, "FAIL" in output) == (0, True, False)
    assert all(each in output for each in ("It is no tier of trust", "give its other port as api_port"))


def _fingerprint(node: Node) -> str:
    key = asyncssh.import_public_key(node.lab["ssh_host_key"])
    return key.get_fingerprint().removeprefix("SHA256:")
