"""The gateway's settings."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from slipway.runtime.process.settings import PREFIX, DatabaseSettings, Duration, ServiceSettings


def _listed(value: object) -> object:
    return [each for each in value.replace(",", " ").split() if each] if isinstance(value, str) else value


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_listed)]
"""Addresses and networks (`10.0.0.0/24`), with commas between them."""


class GatewaySettings(ServiceSettings, DatabaseSettings):
    """The gateway's settings."""

    table = "gateway"
    database_schema: str = "gateway"
    bootstrap_token_file: Path = Path("bootstrap-token")
    """The first user's secret; made on the first start if it is missing."""
    public_url: str = Field(default="", pattern=r"^(https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~-]+)*/?)?$")
    """Where browsers reach the gateway, if a proxy is in front, with the path if it has one
    (`https://example.org/slipway`). With `https://` the session's cookie is `Secure`; a change by a browser
    whose page comes from elsewhere is refused."""
    trusted_proxies: Networks = ()
    """Addresses and networks of the proxies whose `Forwarded` and `X-Forwarded-*` are believed
    (`127.0.0.1, 10.0.0.0/24`); without one nobody's are."""
    tls_certificate_file: Path | None = None
    """The certificate (PEM, then those of the CAs between) for HTTPS. With it and its key the gateway also
    listens with TLS; a pair that changes is loaded without a restart."""
    tls_key_file: Path | None = Field(default=None, validate_default=True)
    """The certificate's private key (PEM, without a pass phrase)."""
    https_host: str = "0.0.0.0"  # noqa: S104 - TLS is there to be reached from other machines
    """The address that is listened on with TLS; `SLIPWAY_HTTP_HOST` is that of plain HTTP."""
    https_port: int = Field(default=7843, ge=0, le=65535)
    """The port with TLS."""
    session_lifetime: Duration = timedelta(hours=12)
    """How long a browser stays signed in."""
    heartbeat_comments: Duration = timedelta(seconds=15)
    """How often a quiet event stream shows that it lives, and whether its viewer may still look is asked."""
    most_viewers: int = Field(default=5000, ge=1)
    """How many event streams one gateway has open at most; who comes then gets 503 and comes again."""
    slow_viewer_grace: Duration = timedelta(seconds=10)
    """How long a viewer for whom too much waits may take for it; then it is cut off, and resumes."""

    @field_validator("tls_key_file")
    @classmethod
    def _key_has_a_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) != (info.data.get("tls_certificate_file") is None):
            raise PydanticCustomError(
                "tls_pair",
                "{prefix}TLS_CERTIFICATE_FILE and {prefix}TLS_KEY_FILE are a pair: set both or none",
                {"prefix": PREFIX},
            )
        return key
