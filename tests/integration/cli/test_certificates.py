"""The client of the HTTP API over TLS."""

from pathlib import Path

import pytest

from slipway.client.transport import ApiUnreachable, Transport
from support.lab import running_lab


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
async def test_unknown_certificate_is_refused(tmp_path: Path, scheme: str) -> None:
    """The token goes to nobody whose certificate the machine does not trust."""
    async with running_lab(tmp_path) as lab:
        url = lab.endpoint.replace("https", scheme)

        with pytest.raises(ApiUnreachable, match="certificate"):
            async with Transport(url, "the-token") as transport:
                await transport.get("version")
