"""The SSH server: root's login by password or key, one shell line a session.

Beside the lab's own key, those of root's `authorized_keys` on the pretend host come in; where a key's line
has `command=`, that is run instead of what is asked for (`forced`). Nobody may forward, or have a terminal.

Not here: what a line does (`shell`). Guarantees: the host key is the one in the data folder; a session whose
connection goes is ended, which hangs up on its command; nothing of the machine under the lab is reachable.
"""

import asyncio
import contextlib
import hmac
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from slipway.lab.faults import LoginPrints, SshDropped, SshRefused
from slipway.lab.faults.scope import Fault
from slipway.lab.faults.standing import Faults
from slipway.lab.gate import Gate
from slipway.lab.ssh.forced import ForcedCommands, authorized
from slipway.lab.ssh.shell import Shell

CHUNK_BYTES = 64 * 1024
SshProcess = asyncssh.SSHServerProcess[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How root may come in."""

    host_key: asyncssh.SSHKey
    password: str
    authorized: asyncssh.SSHKey
    keys: Path
    """Root's `authorized_keys` on the pretend host, read at each login; it may be missing."""


class SshFront:
    """The listening socket and its connections."""

    def __init__(self, shell: Shell, forced: ForcedCommands, door: Door, faults: Faults, gate: Gate) -> None:
        self._shell = shell
        self._forced = forced
        self._door = door
        self._faults = faults
        self._gate = gate
        self._options: asyncssh.SSHServerConnectionOptions | None = None
        self._holding: asyncio.Task[None] | None = None
        self._logins: dict[asyncssh.SSHServerConnection, _Login] = {}
        faults.listen(self._obey)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port that was taken."""
        self._options = asyncssh.SSHServerConnectionOptions(
            server_factory=lambda: _Login(self._door, self._faults, self._logins),
            server_host_keys=[self._door.host_key],
            process_factory=self._serve,
            encoding=None,
            allow_pty=False,
            agent_forwarding=False,
            server_version="OpenSSH_10.0p2",
            login_timeout=30,
            window=CHUNK_BYTES * 32,
        )
        self._holding = asyncio.create_task(self._hold())
        return self._gate.listen(host, port, self._admit)

    async def stop(self) -> None:
        """Close the socket and every connection."""
        await self._gate.close()
        if self._holding is not None:
            self._holding.cancel()
        connections = list(self._logins)
        self._drop_all()
        await asyncio.gather(*(one.wait_closed() for one in connections), return_exceptions=True)

    async def _admit(self, connection: socket.socket) -> None:
        with contextlib.suppress(asyncssh.Error):
            await asyncssh.run_server(connection, options=self._options)

    async def _hold(self) -> None:
        """Pause open connections while the gate is frozen."""
        while True:
            for connection in self._logins:
                transport = connection._transport  # noqa: SLF001 - asyncssh has no way to stand still
                if transport is not None:
                    (transport.pause_reading if self._gate.is_frozen() else transport.resume_reading)()
            await self._faults.changed()

    def _drop_all(self) -> None:
        for connection in list(self._logins):
            connection.abort()

    def _obey(self, fault: Fault) -> None:
        if isinstance(fault, SshDropped) and fault.now:
            self._faults.take(SshDropped, lambda one: one.now)
            self._drop_all()
        if self._gate.is_shut():
            self._drop_all()

    async def _serve(self, process: SshProcess) -> None:
        """Run a session's line; end it when the connection goes."""
        running = asyncio.create_task(self._run(process))
        closed = asyncio.create_task(process.wait_closed())
        await asyncio.wait({running, closed}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, closed):
            if not task.done():
                task.cancel()
            # A session that writes when its client has gone may end with a group of such errors; what is
            # raised here would cut the whole connection, and with it every other session.
            try:
                await task
            except* (asyncio.CancelledError, OSError, asyncssh.Error):
                pass

    async def _run(self, process: SshProcess) -> None:
        line, login = process.command, self._logins.get(process.get_extra_info("connection"))
        forced = login.forced if login is not None else None
        drop = self._faults.take(SshDropped, lambda fault: not fault.now and fault.match in (line or ""))
        streams = _SshStreams(process, self._gate, None if drop is None else drop.after_bytes)
        if line is None and forced is None:
            line = (await process.stdin.read()).decode()
        if drop is not None and drop.after_bytes == 0:
            streams.cut()
        for order in self._faults.all(LoginPrints):
            await streams.out(order.text.encode())
            await streams.err(order.errors.encode())
        if forced is not None:
            code = await self._forced.run(forced, line, streams)
        else:
            code = await self._shell.run(line or "", streams)
        await self._gate.thawed()
        process.exit(code)


class _SshStreams:
    def __init__(self, process: SshProcess, gate: Gate, bytes_left: int | None) -> None:
        self._process = process
        self._gate = gate
        self._left = bytes_left

    def cut(self) -> None:
        self._process.get_extra_info("connection").abort()
        raise ConnectionResetError

    async def read(self) -> bytes:
        try:
            return await self._process.stdin.read(CHUNK_BYTES)
        except (asyncssh.SignalReceived, asyncssh.BreakReceived) as error:
            raise ConnectionResetError from error

    async def out(self, chunk: bytes) -> None:
        await self._write(self._process.stdout, chunk)

    async def err(self, chunk: bytes) -> None:
        await self._write(self._process.stderr, chunk)

    async def _write(self, writer: asyncssh.SSHWriter[bytes], chunk: bytes) -> None:
        await self._gate.thawed()
        passed = chunk if self._left is None else chunk[: self._left]
        writer.write(passed)
        await writer.drain()
        if self._left is not None:
            self._left -= len(passed)
            if self._left <= 0:
                await asyncio.sleep(0.05)
                self.cut()


class _Login(asyncssh.SSHServer):
    def __init__(
        self,
        door: Door,
        faults: Faults,
        logins: "dict[asyncssh.SSHServerConnection, _Login]",
    ) -> None:
        self.forced: str | None = None
        """What sshd runs instead of anything that is asked for, by the key's line."""
        self._door = door
        self._faults = faults
        self._logins = logins
        self._forget: Callable[[], object] = lambda: None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        if self._faults.take(SshRefused):
            conn.abort()
            return
        self._logins[conn] = self
        self._forget = lambda: self._logins.pop(conn, None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncssh's signature
        self._forget()

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - asyncssh's signature
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self.forced = None
        return username == "root" and hmac.compare_digest(password.encode(), self._door.password.encode())

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        if username != "root":
            return False
        self.forced = None
        if key.public_data == self._door.authorized.public_data:
            return True
        options = authorized(self._door.keys, key)
        if options is None:
            return False
        self.forced = options.get("command")
        return True
