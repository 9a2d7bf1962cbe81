"""Scripts that root runs on the node for real: `sh -s`, in a private view of a machine.

A script needs more than the lab's own shell speaks, so a real `sh` runs it, in the namespaces of a simulated
guest that stands for the node itself: its files are those that a script finds on a node (`/etc/pve`, the SSH
host key, root's `authorized_keys`), and `pveum` is the lab's. What it leaves in `/etc/pve` is then what all
nodes of the cluster have. Of the machine under the lab nothing is reachable but its programs.

The view is made when the first script comes, and goes on with the folder that it had.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from slipway.lab.access.actors import ALL_PRIVILEGES
from slipway.lab.guests.protocol import GuestError, GuestSpec
from slipway.lab.guests.simulated.backend import SimulatedGuests
from slipway.lab.host.machine import Machine
from slipway.lab.ssh.attach import pump
from slipway.lab.ssh.streams import Streams

PVE = "pve"
"""The folder of the cluster's shared files that stands for `/etc/pve`."""
SHARED = ("user.cfg", "priv/token.cfg", "priv/authorized_keys")
PROGRAMS = ("pveum",)
_THE_NODE = 1
"""Its number in the backend, which no guest can have."""
_FAILED = 255


class Scripts:
    """Runs scripts as root of one node."""

    def __init__(self, machine: Machine, host_key: str) -> None:
        self._machine = machine
        self._host_key = host_key
        self._view = SimulatedGuests(machine.folder / "node-view")
        self._folder = machine.folder / "node-view" / "simulated" / str(_THE_NODE)
        self._is_open = False
        self._lock = asyncio.Lock()

    async def run(self, argv: Sequence[str], streams: Streams) -> int:
        """Run a program of the node with these streams; return its exit code."""
        async with self._lock:
            try:
                await self._prepare()
                self._copy(to_view=True)
                process = await self._view.execute(_THE_NODE, argv)
            except (GuestError, OSError) as error:
                await streams.err(f"the lab's node can't run scripts: {error}\n".encode())
                return _FAILED
            try:
                await pump(process, streams, None)
            except BaseException:
                process.terminate()
                raise
            code = await process.wait()
            self._copy(to_view=False)
            return code

    async def close(self) -> None:
        """End what still runs."""
        if self._is_open:
            await self._view.close()

    async def _prepare(self) -> None:
        if not self._is_open:
            await self._view.open()
            self._is_open = True
        if self._view.is_running(_THE_NODE):
            return
        if not self._folder.is_dir():
            await self._view.create(_spec(self._machine.node, (await self._view.templates())[0]))
        await asyncio.to_thread(self._lay_out)
        await self._view.start(_THE_NODE)

    def _lay_out(self) -> None:
        """Write the files that a node has."""
        programs, tree = self._folder / "upper", self._folder / "root"
        for name in PROGRAMS:
            source = resources.files("slipway.lab.host").joinpath("programs", name)
            target = programs / "sbin" / name
            target.write_bytes(source.read_bytes())
            target.chmod(0o755)
        (programs / "share" / "lab").mkdir(parents=True, exist_ok=True)
        known = "".join(f"{each}\n" for each in sorted(ALL_PRIVILEGES))
        (programs / "share" / "lab" / "privileges").write_text(known)
        for name in ("etc/pve/local", "etc/pve/priv", "etc/ssh", "root/.ssh"):
            (tree / name).mkdir(parents=True, exist_ok=True)
        name = self._machine.node
        (tree / "etc" / "hosts").write_text(f"127.0.0.1 localhost\n{self._machine.address} {name}\n")
        (tree / "etc/ssh/ssh_host_ed25519_key.pub").write_text(f"{self._host_key} root@{name}\n")
        keys = tree / "root/.ssh/authorized_keys"
        if not keys.is_symlink():
            keys.unlink(missing_ok=True)
            keys.symlink_to("/etc/pve/priv/authorized_keys")

    def _copy(self, *, to_view: bool) -> None:
        """Carry the cluster's shared files into the view, or what a script made of them back."""
        pve, shared = self._folder / "root/etc/pve", self._machine.shared_folder / PVE
        for name in SHARED:
            source, target = (shared / name, pve / name) if to_view else (pve / name, shared / name)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if source.exists():
                shutil.copyfile(source, target)
        if to_view:
            (pve / "priv/authorized_keys").touch()
            for name, path in self._machine.certificates.files().items():
                target = pve / name
                if path.exists():
                    shutil.copyfile(path, target)
                else:
                    target.unlink(missing_ok=True)


def authorized_keys(shared_folder: Path) -> str:
    """Read root's `authorized_keys`, which all nodes of the cluster have."""
    with contextlib.suppress(FileNotFoundError):
        return (shared_folder / PVE / "priv/authorized_keys").read_text(encoding="utf-8")
    return ""


def _spec(node: str, template: Path) -> GuestSpec:
    return GuestSpec(
        vmid=_THE_NODE,
        hostname=node,
        template=template,
        unprivileged=True,
        cores=1,
        memory_mib=64,
        swap_mib=0,
        networks=(),
        nameserver=None,
        searchdomain=None,
        timezone=None,
        password=None,
        ssh_public_keys=None,
        environment={},
    )
