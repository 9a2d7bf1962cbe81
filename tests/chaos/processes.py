"""The stack's processes: killed, paused, and a second provisioner beside the one that `up` keeps running."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from slipway.standalone.environment import GRACEFUL_SECONDS, plain_environment
from support.clients import http_client
from support.stack import RunningStack
from support.waiting import lives

BACK_SECONDS = 40.0
READY_SECONDS = 40.0


class Processes:
    """What `endpoints.json` names, and the replica that is ours."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack
        self._replica: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.clock = self._own_clock()
        """The file that says how far the replica's clock is off; None where libfaketime is missing."""

    @property
    def replica_log(self) -> Path:
        """What the second provisioner writes."""
        return self.log("replica")

    def log(self, name: str) -> Path:
        """Return the file to which a process writes."""
        return self._stack.data / "log" / f"{name}.log"

    async def pid(self, name: str) -> int:
        """Return a process's id, also if it is just being started again."""
        if name == "replica":
            assert self._replica is not None, "no second provisioner runs"
            return self._replica.pid
        async with asyncio.timeout(BACK_SECONDS):
            while True:
                with contextlib.suppress(OSError, ValueError):
                    pid = self._stack.endpoints["pids"].get(name)
                    if pid is not None and lives(pid):
                        return int(pid)
                await asyncio.sleep(0.05)

    async def kill(self, name: str) -> None:
        """Kill one with SIGKILL, and wait until its successor runs."""
        if name == "replica":
            self.end_replica()
            return
        before = await self.pid(name)
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(BACK_SECONDS):
            while await self.pid(name) == before:  # noqa: ASYNC110 - a process has no event
                await asyncio.sleep(0.05)

    async def start_replica(self) -> None:
        """Run a second provisioner: the same environment as the first, another port."""
        if self._replica is not None and self._replica.poll() is None:
            return
        self._port = _free_port()
        environment = {**self._settings(), "PYTHONDONTWRITEBYTECODE": "1", **self._faked()}
        command = [sys.executable, "-m", "slipway.provisioner", "serve"]
        with self.replica_log.open("ab") as output:
            self._replica = subprocess.Popen(  # noqa: ASYNC220 - it only starts
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        await self._ready()

    def end_replica(self) -> None:
        """Kill the second provisioner."""
        if self._replica is not None:
            self._replica.kill()
            self._replica.wait()
            self._replica = None

    def _own_clock(self) -> Path | None:
        if _faketime() is None:
            return None
        file = self._stack.data.parent / "clock"
        file.write_text("+0\n")
        file.chmod(0o644)
        return file

    def _faked(self) -> dict[str, str]:
        """Return what makes a process read its time of day, but not its timers, from our file."""
        if self.clock is None:
            return {}
        self.clock.write_text("+0\n")
        return {
            "LD_PRELOAD": str(_faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def _settings(self) -> dict[str, str]:
        """Return what `up` gives its own provisioner, with another port."""
        folder = (self._stack.data / "services" / "provisioner").resolve()
        given = {name: text for name, text in self._stack.environment.items() if name.startswith("SLIPWAY_")}
        return {
            **plain_environment(),
            "SLIPWAY_LOG_FORMAT": "text",
            "SLIPWAY_GRACEFUL_TIMEOUT": str(GRACEFUL_SECONDS),
            **{name: text for name, text in given.items() if not name.endswith("_FILE")},
            "SLIPWAY_NATS_URL": self._stack.endpoints["nats"],
            "SLIPWAY_NATS_NKEY_FILE": str(folder / "provisioner.nk"),
            "SLIPWAY_SEALING_KEY_FILE": str(folder / "provisioner.x25519"),
            "SLIPWAY_SEALING_PUBLIC_FILE": str(folder / "sealing-public.json"),
            "SLIPWAY_METRICS_TOKEN_FILE": str(folder / "metrics-token"),
            "SLIPWAY_HTTP_PORT": str(self._port),
        }

    async def _ready(self) -> None:
        async with asyncio.timeout(READY_SECONDS), http_client() as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"http://127.0.0.1:{self._port}/readyz")).is_success:
                        return
                await asyncio.sleep(0.2)


def _faketime() -> Path | None:
    """Find libfaketime: where `SLIPWAY_TEST_FAKETIME` says, or where the package of that name puts it."""
    setting = os.environ.get("SLIPWAY_TEST_FAKETIME")
    candidates = (
        [Path(setting)] if setting else sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    )
    return next((each for each in candidates if each.is_file()), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
