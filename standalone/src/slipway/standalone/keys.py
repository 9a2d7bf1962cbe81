"""The secrets of one installation: made on the first start, stored, used from then on."""

import secrets
from pathlib import Path

from slipway.runtime.secrets.vault import KeyRing
from slipway.runtime.topology.identities import generate
from slipway.standalone.folders import DataFolder, write_whole


async def make_keys(*, data: str) -> None:
    """Make the secrets that are missing, and write the list of the bus's users anew."""
    folder = DataFolder(Path(data))
    if not folder.key_ring.exists():
        KeyRing.create(folder.key_ring)
    for token in (folder.bootstrap_token, folder.metrics_token):
        if not token.exists():
            write_whole(token, f"{secrets.token_urlsafe(32)}\n")
    generate(folder.identities)
