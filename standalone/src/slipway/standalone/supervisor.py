"""Keep processes running: start them again when they end, and stop them in good order.

Every process has a process group of its own and gets a signal from the kernel when the supervisor dies, so
nothing outlives it. A process that ends by itself is started again, first after 0.2 seconds, then ever
slower; one that ran for a while begins anew.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from slipway.runtime.process.ending import end
from slipway.runtime.process.exit_status import BAD_SETTINGS
from slipway.runtime.retry import Backoff, Deadline
from slipway.standalone.forks import Command, Forks, Process, ProcessFailed
from slipway.standalone.logview import LogView

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
STEADY_SECONDS = 20.0
"""A process that ran this long starts its back-off anew."""
LOOK_SECONDS = 0.1


class Supervised:
    """A process that is started again whenever it ends."""

    def __init__(
        self, command: Command, forks: Forks, view: LogView, *, on_change: Callable[[], None]
    ) -> None:
        self.command = command
        self.name = command.name
        self.starts = 0
        self.last_status: int | None = None
        """How it ended the last time; None if it never has."""
        self._forks = forks
        self._view = view
        self._on_change = on_change
        self._process: Process | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process id; None between two runs."""
        is_running = self._process is not None and self._process.returncode is None
        return self._process.pid if is_running and self._process else None

    def start(self) -> None:
        """Start it, and again whenever it ends."""
        self._running = asyncio.create_task(self._keep(), name=self.name)

    async def stop(self, *, seconds: float) -> None:
        """End it in good order, or for good after a while."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), seconds)
            except TimeoutError:
                self._view.report(f"{self.name} did not stop within {seconds:.0f} s and is killed")
        if self._process is not None:
            kill_group(self._process.pid)
        if self._running is not None:
            await asyncio.wait([self._running], timeout=1)
            self._running.cancel()

    async def _keep(self) -> None:
        backoff = Backoff(first_seconds=FIRST_DELAY_SECONDS, longest_seconds=LONGEST_DELAY_SECONDS)
        while not self._stopping.is_set():
            steady = Deadline(STEADY_SECONDS)
            try:
                self.last_status = await self._run()
                ended = f"ended with status {self.last_status}"
            except (OSError, ProcessFailed) as error:
                # No process to be had, or no room to note one: time may cure it, giving up never does.
                ended = f"does not run ({error})"
            if self._stopping.is_set():
                return
            if steady.has_passed:
                backoff.reset()
            self._view.report(f"{self.name} {ended}; it starts again in {backoff.seconds:.1f} s")
            self._on_change()
            await backoff.wait()

    async def _run(self) -> int:
        self._process = await self._forks.launch(self.command)
        relaying = asyncio.create_task(relay(self._process, self.name, self._view))
        try:
            self.starts += 1
            self._on_change()
            return await self._process.wait()
        finally:
            kill_group(self._process.pid)
            await asyncio.wait([relaying], timeout=1)
            relaying.cancel()


async def relay(process: Process, name: str, view: LogView) -> None:
    """Pass every line of a process on."""
    async for line in process.lines():
        view.write(name, line)


async def unless_refused(
    work: Coroutine[Any, Any, None], processes: Callable[[], Sequence[Supervised]], view: LogView
) -> None:
    """Wait for something that needs these processes, unless one of them will never run.

    Raises:
        ProcessFailed: with the message of one that does not accept its settings.
    """
    working = asyncio.create_task(work)
    try:
        while not working.done():
            await asyncio.wait([working], timeout=LOOK_SECONDS)
            for process in processes():
                if process.last_status == BAD_SETTINGS:
                    reason = view.tail(process.name)
                    raise ProcessFailed(f"{process.name} does not accept its settings:\n{reason}")
        working.result()
    finally:
        await end(working)


def kill_group(pid: int) -> None:
    """Kill what is left of a process's group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
