"""NATS and PostgreSQL under `up`: started before everything else, watched, started again when they end.

They keep their ports over a restart, so the services find them again by themselves.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from slipway.cli.embedded.process import EmbeddedFailure, Server
from slipway.cli.logview import LogView

WATCH_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
_TROUBLE = re.compile(r"\[(WRN|ERR|FTL)\]|\b(WARNING|ERROR|FATAL|PANIC): (?!.*starting up$)")
"""What is worth a look; everything is in the file."""


class Embedded(Protocol):
    """What EmbeddedNats and EmbeddedPostgres have in common."""

    @property
    def server(self) -> Server:
        """The running process."""

    def start(self) -> None:
        """Start and wait until it takes connections."""

    def stop(self) -> None:
        """Stop in good order."""


class WatchedServer:
    """An embedded server that is started again when it ends.

    Starting blocks the loop until the server takes connections, mostly less than a second: it has to happen
    on the main thread, whose death the server is tied to.
    """

    def __init__(
        self, name: str, embedded: Embedded, view: LogView, *, log: Path, on_change: Callable[[], None]
    ) -> None:
        self.name = name
        self._log = log
        self._offset = log.stat().st_size if log.exists() else 0
        self._embedded = embedded
        self._view = view
        self._on_change = on_change
        self._watching: asyncio.Task[None] | None = None
        self._is_started = False

    @property
    def pid(self) -> int | None:
        """The process id; None while it is down."""
        running = self._is_started and self._embedded.server.is_running
        return self._embedded.server.pid if running else None

    def start(self) -> None:
        """Start it, and begin to watch it."""
        self._embedded.start()
        self._is_started = True
        self._watching = asyncio.create_task(self._watch(), name=self.name)

    async def stop(self, *, seconds: float) -> None:
        """End it in good order, or for good after a while."""
        if self._watching is not None:
            self._watching.cancel()
        if self._is_started:
            await asyncio.to_thread(self._embedded.server.stop, seconds=seconds)
            self._relay()

    async def _watch(self) -> None:
        delay = WATCH_SECONDS
        while True:
            await asyncio.sleep(delay)
            self._relay()
            if self._embedded.server.is_running:
                delay = WATCH_SECONDS
                continue
            self._view.tell(f"{self.name} ended; it starts again")
            self._on_change()
            try:
                self._embedded.start()
            except EmbeddedFailure as error:
                self._view.tell(str(error))
                delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            self._on_change()

    def _relay(self) -> None:
        """Pass on the whole lines that it has written since."""
        with self._log.open("rb") as file:
            file.seek(self._offset)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            self._view.write(self.name, line, is_shown=_TROUBLE.search(line) is not None)
