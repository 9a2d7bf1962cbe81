"""Catalog's settings, read from the environment."""

from datetime import timedelta
from pathlib import Path

from slipway.runtime.process.settings import DatabaseSettings, Duration, ServiceSettings


class CatalogSettings(ServiceSettings, DatabaseSettings):
    """Settings of the catalog service."""

    table = "catalog"
    database_schema: str = "catalog"
    templates_dir: Path = Path("infra/lxc/templates")
    """The folder of templates; the library for scripts is `../lib/slipway.sh` beside it."""
    scan_interval: Duration = timedelta(seconds=10)
    """How often the folder is scanned; a scan without changes reads no file."""
