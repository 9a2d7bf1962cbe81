"""One running simulated guest as the lab sees it: its process, its socket and its listeners on the host."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Self

from slipway.lab.guests import proc
from slipway.lab.guests.commands import PATH, program
from slipway.lab.guests.protocol import GuestError, Usage

LISTEN_STATE = "0A"
_IN_USE = re.compile(r"TCP6?: inuse (\d+)")
LOOPBACK = ("0100007F", "00000000000000000000000001000000")
WATCH_SECONDS = 0.3
"""How often the number of the guest's sockets is looked at while something happens in it."""
CALM_SECONDS = 3.0
"""The same, beyond that, when nothing has happened for `STIRRED_SECONDS`."""
STIRRED_SECONDS = 20.0
LOOK_ANYWAY = 30
"""After so many looks its listening ports are read in any case."""
UNPRIVILEGED_OFFSET = 8000
"""Added to a port on which an ordinary user may not listen: 80 is reached at 8080."""
KILL_SECONDS = 5.0
UNSHARE = (
    "--user", "--map-root-user", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "--kill-child",
)  # fmt: skip


class Running:
    """Made by `start`; ends with `kill`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        lab: socket.socket,
        address: str,
        environment: Mapping[str, str],
    ) -> None:
        self.pid = 0
        """The first process, in the host's numbers."""
        self.environment = environment
        self._process = process
        self._lab = lab
        self._address = address.partition("/")[0]
        self._listeners: dict[int, asyncio.Task[None]] = {}
        """The guest's port to what listens for it on the host."""
        self._refused: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stirred = asyncio.Event()
        self._stirred_at = time.monotonic()

    @classmethod
    async def start(
        cls,
        guest: Path,
        *,
        hostname: str,
        address: str,
        hwaddr: str,
        environment: Mapping[str, str],
        timeout_seconds: float,
    ) -> Self:
        """Start the first process and wait until its view is built."""
        lab, inside = socket.socketpair()
        private = {"PATH": PATH, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with inside, (guest / "init.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                program("unshare"), *UNSHARE, "--", sys.executable, "-m", "slipway.lab.guests.simulated.init",
                str(guest), hostname, address, hwaddr, str(inside.fileno()),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env={**environment, **private},
                pass_fds=[inside.fileno()], start_new_session=True, cwd="/",
            )  # fmt: skip
        lab.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        running = cls(process, lab, address, environment)
        try:
            await running._until_ready(timeout_seconds)
        except (OSError, TimeoutError, ValueError) as error:
            await running.kill()
            last = (guest / "init.log").read_text(errors="replace").strip().splitlines()[-1:] or [str(error)]
            raise GuestError(f"the simulated guest did not start: {last[0]}") from error
        running._spawn(running._watch())
        return running

    def is_alive(self) -> bool:
        """Return whether the first process lives."""
        return self._process.returncode is None

    def stir(self) -> None:
        """Note that something happens in the guest, which may listen soon."""
        self._stirred_at = time.monotonic()
        self._stirred.set()

    async def power_off(self, timeout_seconds: float) -> bool:
        """Ask the first process to end; False if it has not in time."""
        with contextlib.suppress(OSError):
            self._lab.send(b"poweroff")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._process.wait()
        return not self.is_alive()

    async def kill(self) -> None:
        """Kill the first process, and with it all others of the guest."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lab.close()
        with contextlib.suppress(ProcessLookupError):
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
            else:
                self._process.kill()
        async with asyncio.timeout(KILL_SECONDS):
            await self._process.wait()

    def usage(self, disk_bytes: int, namespaces: proc.Namespaces) -> Usage:
        """Add up the guest's processes, as the host's `/proc` shows them."""
        ticks, memory_pages = 0, 0
        for pid in namespaces.pids_like(self.pid):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
                memory_pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        devices = Path(f"/proc/{self.pid}/net/dev").read_text()
        received, sent = proc.traffic(devices, counts_lo=True)  # connections from the host arrive there
        return Usage(
            pid=self.pid,
            uptime_seconds=proc.uptime_seconds(self.pid),
            cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
            memory_bytes=memory_pages * os.sysconf("SC_PAGE_SIZE"),
            swap_bytes=0,
            disk_bytes=disk_bytes,
            net_in_bytes=received,
            net_out_bytes=sent,
        )

    async def _until_ready(self, timeout_seconds: float) -> None:
        async with asyncio.timeout(timeout_seconds):
            line = await asyncio.get_running_loop().sock_recv(self._lab, 64)
        self.pid = int(line.split()[1]) if line.startswith(b"ready ") else 0
        if not self.pid:
            raise ValueError("its first process ended")

    async def _watch(self) -> None:
        """Listen on the host where the guest listens.

        The tables of sockets cost 15 ms each to read (the kernel walks those of all namespaces), so they are
        read when the number of the guest's sockets has changed, and now and then in case one took
        another's place.
        """
        last, looks = "", 0
        while self.is_alive():
            with contextlib.suppress(OSError):
                sockets = _sockets(self.pid)
                if sockets != last:
                    self.stir()
                if sockets != last or looks % LOOK_ANYWAY == 0:
                    last = sockets
                    self._follow(await asyncio.to_thread(_listening, self.pid))
            looks += 1
            self._stirred.clear()
            await asyncio.sleep(WATCH_SECONDS)
            if time.monotonic() - self._stirred_at > STIRRED_SECONDS:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stirred.wait(), CALM_SECONDS)

    def _follow(self, ports: set[int]) -> None:
        for port in set(self._listeners) - ports:
            self._listeners.pop(port).cancel()
        for port in ports - set(self._listeners) - self._refused:
            self._open(port)

    def _open(self, port: int) -> None:
        if not self._address:
            return
        try:
            listener = _listen(self._address, port)
        except OSError:
            self._refused.add(port)
            return
        listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._listeners[port] = self._spawn(self._accept(listener, port))

    async def _accept(self, listener: socket.socket, port: int) -> None:
        """Pass each connection on to the guest until cancelled.

        The listener is closed here, after the loop has let go of it: of one that is closed under the loop the
        number stays known, and the next socket that gets it is never heard.
        """
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                connection, _ = await loop.sock_accept(listener)
                with connection, contextlib.suppress(OSError):
                    connection.setblocking(True)  # noqa: FBT003 - the guest's threads expect it
                    socket.send_fds(self._lab, [str(port).encode()], [connection.fileno()])

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _listen(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port))
    except PermissionError:
        return socket.create_server((address, port + UNPRIVILEGED_OFFSET))


def _sockets(pid: int) -> str:
    """Count the TCP sockets that the guest uses, by family; cheap."""
    tables = (Path(f"/proc/{pid}/net/{table}").read_text() for table in ("sockstat", "sockstat6"))
    return " ".join(word for table in tables for word in _IN_USE.findall(table))


def _listening(pid: int) -> set[int]:
    """Ports that listen for more than the guest itself."""
    ports: set[int] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, port = fields[1].rpartition(":")
            if fields[3] == LISTEN_STATE and address not in LOOPBACK:
                ports.add(int(port, 16))
    return ports
