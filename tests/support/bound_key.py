"""An SSH key that the token script has bound on a lab's node; the script itself runs on the pretend host."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from slipway.lab.node import Lab
from slipway.lab.ssh.forced import Executed, execute

SCRIPT = Path(__file__).parents[2] / "infra/proxmox/make-token.sh"
ID = "test"
PVEUM = """#!/bin/sh
case "$*" in
    "user list"*) echo '[]' ;;
    "user token add"*) printf '{"full-tokenid":"%s!main","value":"s3cret"}' "$4" ;;
esac
"""
"""Only answers; what becomes of the orders is tested elsewhere."""


@dataclass(frozen=True, slots=True)
class BoundKey:
    """The key, and the node's files."""

    private_key: str
    host: Path

    @property
    def log(self) -> str:
        """What the forced command has logged."""
        path = self.host / "var/log/auth.log"
        return path.read_text() if path.exists() else ""


@dataclass(frozen=True, slots=True)
class PretendNode:
    """A node of a lab, which may run in another process."""

    name: str
    host: Path
    """Its files."""
    host_key: str
    certificate_authority: str

    @classmethod
    def of(cls, lab: Lab) -> "PretendNode":
        """Return the first node of a lab."""
        return cls(lab.name, lab.data / "host", lab.ssh_host_key, lab.certificate_authority)


async def run_script(node: PretendNode, *arguments: str, pveum: str = PVEUM, **limits: str) -> Executed:
    """Run the token script on a node."""
    for name, content in (
        ("root/bin/pveum", pveum),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("etc/ssh/ssh_host_ed25519_key.pub", f"{node.host_key} root@lab\n"),
        ("etc/pve/local/pve-ssl.pem", node.certificate_authority),
        ("etc/pve/pve-root-ca.pem", node.certificate_authority),
    ):
        path = node.host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (node.host / "root/bin/pveum").chmod(0o755)
    programs = "/root/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": programs, "ID": ID, "ADDRESS": "127.0.0.1", **limits}
    argv = ["/bin/sh", "-s", *arguments]
    return await execute(node.host, node.name, argv, environment=environment, stdin=SCRIPT.read_bytes())


async def bind_key(node: PretendNode, **limits: str) -> BoundKey:
    """Have the script make a key with limits."""
    done = await run_script(node, **limits)
    assert done.code == 0, done.errors.decode()
    return BoundKey(json.loads(done.out)["ssh"]["private_key"], node.host)


@contextlib.asynccontextmanager
async def login(lab: Lab, key: BoundKey) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Log in with the key, without our own client."""
    async with asyncssh.connect(
        "127.0.0.1",
        lab.ssh_port,
        username="root",
        client_keys=[asyncssh.import_private_key(key.private_key)],
        known_hosts=asyncssh.import_known_hosts(f"[127.0.0.1]:{lab.ssh_port} {lab.ssh_host_key}\n"),
        config=None,
    ) as connection:
        yield connection
