"""A real SSH server in this process whose commands run on this machine.

It behaves like sshd where it matters to a client: standard input is passed on and ends with the channel,
a signal goes to the command's process group, and a dead connection leaves the command running. `pct` on its
PATH is a small program that runs `pct exec` on this machine too; in container 300 with busybox' programs.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Self

import asyncssh
from pydantic import SecretStr

from slipway.proxmox.access import NodeAccess

PCT = """#!/bin/sh
# pct as far as the tests need it; the texts and codes are those of PVE 9.2.
verb=$1 vmid=$2
shift 2
case $vmid in
    404) echo "Configuration file 'nodes/pve1/lxc/404.conf' does not exist" >&2; exit 2 ;;
    405) echo "container '405' not running!" >&2; exit 255 ;;
esac
case $verb in
    exec)
        shift
        # A guest that has the programs of busybox only.
        [ "$vmid" != 300 ] || for word in "$@"; do
            shift
            case $word in PATH=*) word=PATH=${0%/*}/busybox ;; esac
            set -- "$@" "$word"
        done
        exec "$@"
        ;;
    set | unlock | destroy) echo "$verb $vmid $*" >>"$PCT_CALLS" ;;
esac
"""


class SshServer:
    """Listens on a free port of 127.0.0.1 while it is entered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "pct-calls"
        self.commands: list[str] = []
        self.ciphers = ""
        """Those that it takes; empty for asyncssh's."""
        self.bashrc = ""
        """What root's shell reads before each command."""
        self.pids: list[int] = []
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.keys = [
            asyncssh.generate_private_key("ssh-ed25519"),
            asyncssh.generate_private_key("ecdsa-sha2-nistp256"),
        ]
        self._client = asyncssh.generate_private_key("ssh-ed25519")
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Start listening."""
        tools = self.folder / "bin"
        tools.mkdir(parents=True, exist_ok=True)
        (tools / "pct").write_text(PCT)
        (tools / "pct").chmod(0o755)
        _install_busybox(tools / "busybox")
        await self.listen(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and leave no command behind."""
        await self.stop()
        for pid in self.pids:
            _kill(pid, signal.SIGKILL)
        await asyncio.wait_for(asyncio.gather(*self._running, return_exceptions=True), 10)

    async def listen(self, port: int) -> None:
        """Accept connections."""
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            port,
            server_host_keys=self.keys,
            server_factory=lambda: _Server(self),
            process_factory=self._run,
            authorized_client_keys=asyncssh.import_authorized_keys(
                self._client.export_public_key("openssh").decode()
            ),
            encoding=None,
            encryption_algs=self.ciphers or (),
            line_editor=False,
        )

    async def stop(self) -> None:
        """Accept no more, and cut the connections there are."""
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
        self.cut()

    def cut(self) -> None:
        """Let every connection die, without a goodbye."""
        for connection in self.connections:
            connection.abort()
        self.connections.clear()

    def access(self, *, host_key: str | None = None) -> NodeAccess:
        """How to reach it."""
        return NodeAccess(
            name="pve1",
            address="127.0.0.1",
            port=self.port,
            private_key=SecretStr(self._client.export_private_key("openssh").decode()),
            host_key=host_key or self.keys[0].export_public_key("openssh").decode(),
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._acceptor is not None
        return int(self._acceptor.get_port())

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if (task := asyncio.current_task()) is not None:
            self._running.append(task)
        line = process.command or ""
        self.commands.append(line)
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        child = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            f"{self.bashrc}\n{line}",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": path, "PCT_CALLS": str(self.calls)},
            cwd="/",
            start_new_session=True,
        )
        self.pids.append(child.pid)
        feeding = asyncio.create_task(_feed(process, child))
        await asyncio.gather(_drain(child.stdout, process.stdout), _drain(child.stderr, process.stderr))
        code = await child.wait()
        feeding.cancel()
        if not process.is_closing():
            if code < 0:
                process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
            else:
                process.exit(code)


def _install_busybox(folder: Path) -> None:
    """Link its programs into a folder; Debian's has no flock, which those of Alpine and OpenWrt have."""
    folder.mkdir(exist_ok=True)
    busybox, flock = shutil.which("busybox"), shutil.which("flock")
    if busybox is None or flock is None:
        return
    programs = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout
    for name in {*programs.split()} - {"flock"}:
        (folder / name).symlink_to(busybox)
    (folder / "flock").symlink_to(flock)


class _Server(asyncssh.SSHServer):
    def __init__(self, server: SshServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.connections.append(conn)


async def _feed(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> None:
    """Pass input on until its end, and signals until the command's."""
    assert child.stdin is not None
    while True:
        try:
            chunk = await process.stdin.read(65536)
            if chunk:
                child.stdin.write(chunk)
                await child.stdin.drain()
                continue
        except asyncssh.SignalReceived as received:
            _kill(child.pid, signal.Signals[f"SIG{received.signal}"])
        except (OSError, asyncssh.Error):
            break
        child.stdin.close()
        await asyncio.sleep(0.02)
    child.stdin.close()


async def _drain(source: asyncio.StreamReader | None, target: asyncssh.SSHWriter[bytes]) -> None:
    assert source is not None
    while chunk := await source.read(65536):
        try:
            target.write(chunk)
            await target.drain()
        except (OSError, asyncssh.Error):
            return


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
