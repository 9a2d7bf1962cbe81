"""Monitor's settings, read from the environment."""

from datetime import timedelta
from pathlib import Path

from slipway.runtime.process.settings import Duration, ServiceSettings


class MonitorSettings(ServiceSettings):
    """Settings of the monitor service."""

    table = "monitor"
    poll_interval: Duration = timedelta(seconds=2)
    """How often each cluster is asked for the state of its guests; one request each time, and at every second
    one a cheap one to each node."""
    facts_interval: Duration = timedelta(seconds=15)
    """How often storages, bridges, archives and the SSH access of each node are looked at."""
    pending_interval: Duration = timedelta(seconds=15)
    """How often containers whose discovery is still owed are looked for."""
    proxmox_record: Path | None = None
    """A file to which each request to Proxmox is appended as a line of JSON, secrets masked."""
