"""The gateway's settings."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from slipway.runtime.process.settings import DatabaseSettings, Duration, ServiceSettings


class GatewaySettings(ServiceSettings, DatabaseSettings):
    """The gateway's settings."""

    table = "gateway"
    database_schema: str = "gateway"
    bootstrap_token_file: Path = Path("bootstrap-token")
    """The first user's secret; made on the first start if it is missing."""
    public_url: str = Field(default="", pattern=r"^(https?://[^\s]+)?$")
    """Where browsers reach the gateway, if a proxy is in front: with `https://` the cookie is `Secure`."""
    session_lifetime: Duration = timedelta(hours=12)
    """How long a browser stays signed in."""
    heartbeat_comments: Duration = timedelta(seconds=15)
    """How often a quiet event stream shows that it lives, and whether its viewer may still look is asked."""
    most_viewers: int = Field(default=5000, ge=1)
    """How many event streams one gateway has open at most; who comes then gets 503 and comes again."""
    slow_viewer_grace: Duration = timedelta(seconds=10)
    """How long a viewer for whom too much waits may take for it; then it is cut off, and resumes."""
