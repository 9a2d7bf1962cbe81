"""NATS and PostgreSQL under `up`: started before everything else, watched, started again when they end.

They keep their ports over a restart, so the services find them again by themselves. A server that recovers
slowly is waited for while it lives; the loop is never blocked meanwhile, so `up` can be stopped at any time.
"""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable

from slipway.runtime.process.disk import MIB, free_bytes
from slipway.runtime.retry import Backoff, Deadline
from slipway.standalone.embedded.process import POLL_SECONDS, START_SECONDS, EmbeddedFailure
from slipway.standalone.embedded.server import EmbeddedServer
from slipway.standalone.logfile import MOST_BYTES
from slipway.standalone.logview import LogView

AGAIN_SECONDS = 0.2
"""The first pause after a failure."""
RELAY_SECONDS = 1.0
"""How often what a server has written is passed on."""
LONGEST_DELAY_SECONDS = 10.0
GIVEN_UP_SECONDS = 3.0
"""How long a server that does not do its work may take to end."""
ROOM_BYTES = 16 * MIB
"""What the disk must have free before a server is started again that gave up for want of room."""
SLOW_SECONDS = 10.0
"""A start that takes longer is reported."""
_NOTABLE = re.compile(r"\[(WRN|ERR|FTL)\]|\b(WARNING|ERROR|FATAL|PANIC): (?!.*starting up$)")
"""Lines that are shown; all are in the file."""


class WatchedServer:
    """An embedded server that is started again when it ends."""

    def __init__(
        self,
        embedded: EmbeddedServer,
        view: LogView,
        *,
        on_change: Callable[[], None],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.name = embedded.name
        self._log = embedded.log
        self._most_bytes = most_bytes
        self._offset = self._log.stat().st_size if self._log.exists() else 0
        self._embedded = embedded
        self._view = view
        self._on_change = on_change
        self._watching: asyncio.Task[None] | None = None
        self._is_launched = False
        self._is_stopping = False
        self._has_given_up = False

    @property
    def pid(self) -> int | None:
        """The process id; None while it is down."""
        running = self._is_launched and self._embedded.server.is_running
        return self._embedded.server.pid if running else None

    async def start(self) -> None:
        """Start it, and begin to watch it."""
        await self._bring_up()
        self._watching = asyncio.create_task(self._watch(), name=self.name)

    async def stop(self, *, seconds: float) -> None:
        """End it in good order, or for good after a while."""
        self._is_stopping = True
        if self._watching is not None:
            self._watching.cancel()
        if self._is_launched:
            await asyncio.to_thread(self._embedded.server.stop, seconds=seconds)
            with contextlib.suppress(OSError):
                self._relay()

    async def _bring_up(self) -> None:
        """Start the process, and wait until it can be used."""
        await asyncio.to_thread(self._embedded.prepare)
        if self._is_stopping:
            return
        self._embedded.launch()
        self._is_launched = True
        self._on_change()
        began = reported = time.monotonic()
        has_started, usable = self._embedded.server.has_started, self._embedded.is_usable
        deadline = Deadline(START_SECONDS)
        while not await asyncio.to_thread(has_started, usable, deadline=deadline):
            if time.monotonic() - reported > SLOW_SECONDS:
                reported = time.monotonic()
                self._view.report(
                    f"{self.name} still starts, after {reported - began:.0f} s; see {self._log}"
                )
            await asyncio.sleep(POLL_SECONDS)

    async def _watch(self) -> None:
        backoff = Backoff(first_seconds=AGAIN_SECONDS, longest_seconds=LONGEST_DELAY_SECONDS)
        while True:
            try:
                if self._has_given_up and free_bytes(self._embedded.folder) >= ROOM_BYTES:
                    await asyncio.to_thread(self._embedded.server.stop, seconds=GIVEN_UP_SECONDS)
                    self._has_given_up = False
                if not self._embedded.server.is_running:
                    await self._again()
                self._relay()
            except (OSError, EmbeddedFailure) as error:
                self._view.report(f"{self.name}: {error}")
                await backoff.wait()
            else:
                backoff.reset()
                await _until_ended(self._embedded.server.pid, seconds=RELAY_SECONDS)

    async def _again(self) -> None:
        with contextlib.suppress(OSError):
            self._relay()
        self._view.report(f"{self.name} ended; it starts again")
        self._on_change()
        try:
            await self._bring_up()
        finally:
            self._on_change()

    def _relay(self) -> None:
        """Pass on the whole lines that it has written since; begin the file anew when it is too long.

        All of them are in the view's own files. A line that comes in the moment of the cut is lost.
        """
        if self._log.stat().st_size == self._offset:
            return
        with self._log.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._offset:
                self._offset = 0
            file.seek(self._offset)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._offset += len(whole)
        gives_up = self._embedded.gives_up
        for line in whole.decode(errors="replace").splitlines():
            self._view.write(self.name, line, is_shown=_NOTABLE.search(line) is not None)
            self._has_given_up |= gives_up is not None and gives_up.search(line) is not None
        if self._offset > self._most_bytes and len(whole) == len(fresh):
            # The server appends, so it goes on at the new end.
            os.truncate(self._log, 0)
            self._offset = 0


async def _until_ended(pid: int, *, seconds: float) -> None:
    """Return when a child of ours has ended, or after a while."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), seconds)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
