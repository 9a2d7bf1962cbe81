"""What the embedded servers have in common: a folder, a port, a log file, and one process."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from signal import Signals
from types import MappingProxyType
from typing import ClassVar

from slipway.standalone.embedded.ports import free_port
from slipway.standalone.embedded.process import EmbeddedFailure, Server, account_for
from slipway.standalone.embedded.shared import own_folder


class EmbeddedServer(ABC):
    """A server process with its files in `<data>/<name>` and its output in `<data>/<name>.log`."""

    name: ClassVar[str]
    program: ClassVar[str]
    """What messages call it."""
    stop_signal: ClassVar[Signals]
    """Ends it in good order; open transactions are rolled back."""
    environment: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What it has in its environment beside the usual."""
    timer_slack: ClassVar[timedelta] = timedelta()
    """How much later than it asks for it may be woken, as `run_as` takes it."""
    gives_up: ClassVar[re.Pattern[str] | None] = None
    """A line of its log: for want of room it does not do its work any more, until it is started again."""

    def __init__(self, data: Path, port: int) -> None:
        self.log = data / f"{self.name}.log"
        self._account = account_for(data)
        self._folder = own_folder(data, self.name, self._account)
        self._owner = (self._account.uid, self._account.gid) if os.geteuid() == 0 else None
        """Of what is written there: as root through no link, since the folder is that user's."""
        self.port = port or free_port()
        """At which it listens, over restarts too."""
        self._server: Server | None = None

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self._folder.resolve()

    @property
    def server(self) -> Server:
        """The running process."""
        if self._server is None:
            raise EmbeddedFailure(f"{self.program} is not started")
        return self._server

    @property
    def is_started(self) -> bool:
        """Whether it was launched, and runs."""
        return self._server is not None and self._server.is_running

    def start(self) -> None:
        """Start and wait, blocking, until it can be used."""
        self.prepare()
        self.launch()
        self.server.wait_until(self.is_usable)

    def launch(self) -> None:
        """Start the process; on the main thread, whose end would end it."""
        self._server = Server(
            self.program,
            self.command(),
            account=self._account,
            log=self.log,
            stop_signal=self.stop_signal,
            environment=self.environment,
            timer_slack=self.timer_slack,
        )

    def stop(self) -> None:
        """Stop in good order."""
        self.server.stop()

    @abstractmethod
    def prepare(self) -> None:
        """Make what it needs to be launched; from any thread."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """Return the command line, once it is prepared."""

    @abstractmethod
    def is_usable(self) -> bool:
        """Whether it takes connections; from any thread.

        Raises:
            EmbeddedFailure: if it never will.
        """
