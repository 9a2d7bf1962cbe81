"""Monitor's settings, read from the environment."""

from datetime import timedelta
from pathlib import Path

from slipway.runtime.process.settings import Duration, ServiceSettings


class MonitorSettings(ServiceSettings):
    """Settings of the monitor service."""

    table = "monitor"
    poll_interval: Duration = timedelta(seconds=6)
    """How often each cluster is asked for the state of its guests while no job runs: one request."""
    busy_interval: Duration = timedelta(seconds=2)
    """The same while jobs run and shortly after."""
    facts_interval: Duration = timedelta(minutes=2)
    """How often storages, bridges, archives and the SSH access of each node are looked at; also when guests
    came or went, and every 15 seconds while something of them is unknown."""
    pending_interval: Duration = timedelta(seconds=15)
    """How often containers whose discovery is still owed are looked for."""
    proxmox_record: Path | None = None
    """A file to which each request to Proxmox is appended as a line of JSON, secrets masked."""
