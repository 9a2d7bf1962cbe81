"""What a data folder says about its installation, read without changing or starting anything."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from slipway.client.endpoints import find_endpoint
from slipway.client.transport import Transport
from slipway.runtime.process.settings import DatabaseSettings
from slipway.runtime.topology.__main__ import AdminSettings
from slipway.runtime.topology.identity_files import Identities
from slipway.standalone.embedded.ports import HOST
from slipway.standalone.embedded.postgres import ADMIN, DATABASE
from slipway.standalone.folders import DataFolder

_PORT_LINE = 3
"""Of `postmaster.pid`, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """One data folder, and the port that its page is expected at."""

    folder: DataFolder
    port: int

    @cached_property
    def endpoints(self) -> Mapping[str, Any]:
        """How everything is reached; empty unless everything is ready."""
        try:
            content: Mapping[str, Any] = json.loads(self.folder.endpoints.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return content

    @property
    def page_url(self) -> str:
        """Where the page is, with TLS if it is on; `endpoints` must not be empty."""
        return str(self.endpoints.get("https") or self.endpoints["http"])

    @cached_property
    def processes(self) -> Mapping[str, int]:
        """The process ids of what runs, by name."""
        return self.folder.living()

    @property
    def is_running(self) -> bool:
        """Whether `slipway up` runs on the folder, ready or not."""
        return bool(self.processes)

    def server_folder(self, name: str) -> Path:
        """Return where an embedded server has its files; it may be a link into another place."""
        return (self.folder.path / name).resolve()

    def database(self, schema: str) -> DatabaseSettings | None:
        """Return how the administrator reaches the database; None while it does not run."""
        postgres = self.server_folder("postgres")
        try:
            lines = (postgres / "cluster" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        if "postgres" not in self.processes or len(lines) <= _PORT_LINE:
            return None
        password = (postgres / "admin-password").read_text(encoding="utf-8").strip()
        url = f"postgresql://{ADMIN}:{password}@{HOST}:{lines[_PORT_LINE].strip()}/{DATABASE}"
        return DatabaseSettings(database_url=SecretStr(url), database_schema=schema, pool_size=1)

    def bus(self) -> AdminSettings | None:
        """Return how the administrator reaches the bus; None while it does not run."""
        if "nats" not in self.processes:
            return None
        lines = (self.server_folder("nats") / "nats.conf").read_text(encoding="utf-8").splitlines()
        address = next(line.split('"')[1] for line in lines if line.startswith("listen:"))
        key = Identities(self.folder.identities).nkey_file("admin")
        return AdminSettings(nats_url=f"nats://{address}", nats_nkey_file=key)

    def api(self) -> Transport | None:
        """Return a connection to the API; None unless everything is ready."""
        if not self.endpoints:
            return None
        return Transport(*find_endpoint(self.folder.path))
