"""The SSH server: root's login by password or key, one shell line a session.

Not here: what a line does (`shell`). Guarantees: the host key is the one in the data folder; a session whose
connection goes is ended, which hangs up on its command; nothing of the machine under the lab is reachable.
"""

import asyncio
import contextlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

import asyncssh

from slipway.lab.faults import Fault, Faults, NodeOffline, SshDropped, SshRefused
from slipway.lab.ssh.shell import Shell

CHUNK_BYTES = 64 * 1024
CONNECTION_LOST = 255
SshProcess = asyncssh.SSHServerProcess[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How root may come in."""

    host_key: asyncssh.SSHKey
    password: str
    authorized: asyncssh.SSHKey


class SshFront:
    """The listening socket and its connections."""

    def __init__(self, shell: Shell, door: Door, faults: Faults, is_open: Callable[[], bool]) -> None:
        self._shell = shell
        self._door = door
        self._faults = faults
        self._is_open = is_open
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        faults.listen(self._obey)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port that was taken."""
        self._acceptor = await asyncssh.create_server(
            lambda: _Login(self._door, self._faults, self._connections, self._is_open),
            host,
            port,
            server_host_keys=[self._door.host_key],
            process_factory=self._serve,
            encoding=None,
            allow_pty=False,
            agent_forwarding=False,
            server_version="OpenSSH_10.0p2",
            login_timeout=30,
            window=CHUNK_BYTES * 32,
        )
        return int(self._acceptor.get_port())

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._acceptor is None:
            return
        self._acceptor.close()
        self._drop_all()
        await self._acceptor.wait_closed()

    def _drop_all(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    def _obey(self, fault: Fault) -> None:
        if isinstance(fault, SshDropped) and fault.now:
            self._faults.take(SshDropped, lambda one: one.now)
            self._drop_all()
        if isinstance(fault, NodeOffline) and not self._is_open():
            self._drop_all()

    async def _serve(self, process: SshProcess) -> None:
        """Run a session's line; end it when the connection goes."""
        running = asyncio.create_task(self._run(process))
        closed = asyncio.create_task(process.wait_closed())
        await asyncio.wait({running, closed}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, closed):
            if not task.done():
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, asyncssh.Error):
                await task

    async def _run(self, process: SshProcess) -> None:
        line = process.command
        drop = self._faults.take(SshDropped, lambda fault: not fault.now and fault.match in (line or ""))
        streams = _SshStreams(process, None if drop is None else drop.after_bytes)
        if line is None:
            line = (await process.stdin.read()).decode()
        if drop is not None and drop.after_bytes == 0:
            streams.cut()
        process.exit(await self._shell.run(line, streams))


class _SshStreams:
    def __init__(self, process: SshProcess, bytes_left: int | None) -> None:
        self._process = process
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
        connections: set[asyncssh.SSHServerConnection],
        is_open: Callable[[], bool],
    ) -> None:
        self._door = door
        self._faults = faults
        self._connections = connections
        self._is_open = is_open
        self._forget: Callable[[], None] = lambda: None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        if not self._is_open() or self._faults.take(SshRefused):
            conn.abort()
            return
        self._connections.add(conn)
        self._forget = lambda: self._connections.discard(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncssh's signature
        self._forget()

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - asyncssh's signature
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username == "root" and hmac.compare_digest(password.encode(), self._door.password.encode())

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "root" and key.public_data == self._door.authorized.public_data
