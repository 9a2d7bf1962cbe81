"""What the gateway can be told from outside."""

from datetime import timedelta
from pathlib import Path

from slipway.runtime.settings import DatabaseSettings, Duration, ServiceSettings


class GatewaySettings(ServiceSettings, DatabaseSettings):
    """The gateway's settings."""

    table = "gateway"
    database_schema: str = "gateway"
    bootstrap_token_file: Path = Path("bootstrap-token")
    """The first user's secret; made on the first start if it is missing."""
    session_lifetime: Duration = timedelta(hours=12)
    """How long a browser stays signed in."""
    heartbeat_comments: Duration = timedelta(seconds=15)
    """How often a quiet event stream shows that it lives."""
