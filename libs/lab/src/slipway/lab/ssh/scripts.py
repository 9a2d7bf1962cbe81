"""Scripts that root runs on the pretend host for real (`sh -s`): they need more than the lab's own shell.

A real `sh` runs them in the view in which forced commands run (`forced`). Before, the host gets the files
that a script finds on a node: certificates, the SSH host key, and root's `authorized_keys`, which is a link
into the cluster's own file system, `/etc/pve`. What a script leaves there is then what all nodes have.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from slipway.lab.host.machine import Machine
from slipway.lab.ssh.forced import execute
from slipway.lab.ssh.paths import FOLDER
from slipway.lab.ssh.programs import Program
from slipway.lab.ssh.streams import Streams

PVE = "etc/pve"
KEYS = "root/.ssh/authorized_keys"
_NO_QUORUM = "run/lab-no-quorum"
_MOST_BYTES = 1 << 20
SECONDS = 900.0
"""For a script: one that installs Slipway in a guest takes minutes."""


class TooLong(OSError):
    """More was sent than a script has."""


class Scripts:
    """Runs scripts as root of one node."""

    def __init__(self, machine: Machine, host_key: str, programs: Mapping[str, Program]) -> None:
        self._programs = programs
        self._machine = machine
        self._host_key = host_key
        self._lock = asyncio.Lock()

    async def run(self, argv: Sequence[str], streams: Streams) -> int:
        """Run a program of the node to its end; return its exit code."""
        script = await _read(streams)
        host = self._machine.folder / FOLDER
        async with self._lock:
            self._lay_out(host)
        # Not under the lock: a script may wait for a guest that runs one itself.
        done = await execute(
            host,
            self._machine.node,
            argv,
            environment={},
            stdin=script,
            programs=self._programs,
            seconds=SECONDS,
        )
        async with self._lock:
            self._share(host)
        await streams.out(done.out)
        await streams.err(done.errors)
        return done.code

    def _lay_out(self, host: Path) -> None:
        """Write the files that a node has."""
        name = self._machine.node
        files = {
            "etc/hosts": f"127.0.0.1 localhost\n{self._machine.address} {name}\n",
            "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
            "etc/ssh/ssh_host_ed25519_key.pub": f"{self._host_key} root@{name}\n",
        }
        for path, text in files.items():
            (host / path).parent.mkdir(parents=True, exist_ok=True)
            (host / path).write_text(text)
        for path, source in self._machine.certificates.files().items():
            target = host / PVE / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.exists():
                shutil.copyfile(source, target)
            else:
                target.unlink(missing_ok=True)
        _link_keys(host)
        members = self._machine.members.values()
        lost = host / _NO_QUORUM
        lost.parent.mkdir(exist_ok=True)
        if 2 * sum(one.is_online for one in members) > len(members):
            lost.unlink(missing_ok=True)
        else:
            lost.touch()

    def _share(self, host: Path) -> None:
        """Give the other nodes what the cluster's own file system holds now."""
        for machine in self._machine.neighbours:
            other = machine.folder / FOLDER
            if other == host:
                continue
            shutil.rmtree(other / PVE / "priv", ignore_errors=True)
            shutil.copytree(host / PVE / "priv", other / PVE / "priv")
            if (host / PVE / "user.cfg").exists():
                shutil.copyfile(host / PVE / "user.cfg", other / PVE / "user.cfg")
            _link_keys(other)


def _link_keys(host: Path) -> None:
    """Make root's `authorized_keys` the link that it is on a node."""
    keys, shared = host / KEYS, host / PVE / "priv/authorized_keys"
    for path in (keys, shared):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not keys.is_symlink():
        if keys.exists():
            keys.replace(shared)
        keys.symlink_to("../../etc/pve/priv/authorized_keys")
    shared.touch()


async def _read(streams: Streams) -> bytes:
    script = b""
    while chunk := await streams.read():
        script += chunk
        if len(script) > _MOST_BYTES:
            raise TooLong
    return script
