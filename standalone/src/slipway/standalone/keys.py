"""Secrets of one installation: made on the first start, stored, and given to each service as files.

A service's folder holds copies of what that service needs and nothing else, readable by the user that
services run as.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from slipway.contracts.registry import SERVICES
from slipway.runtime.secrets.vault import KeyRing
from slipway.runtime.topology.identities import Identities, generate
from slipway.standalone.embedded.process import Account, account_for
from slipway.standalone.embedded.shared import own_folder
from slipway.standalone.folders import DataFolder, write_whole

DATABASE_SERVICES = ("gateway", "inventory", "catalog")
"""Services that keep tables."""


def make_keys(folder: DataFolder) -> Identities:
    """Make the secrets that are missing; return the keys of the bus's users."""
    if not folder.key_ring.exists():
        KeyRing.create(folder.key_ring)
    for token in (folder.bootstrap_token, folder.metrics_token):
        if not token.exists():
            write_whole(token, secrets.token_urlsafe(32) + "\n")
    return generate(folder.identities)


def hand_out(
    folder: DataFolder, identities: Identities, databases: Mapping[str, SecretStr]
) -> Mapping[str, Mapping[str, Path]]:
    """Write each service's copies; return them by service and setting (`NATS_NKEY_FILE`)."""
    account = account_for(folder.path)
    parent = own_folder(folder.path, "services", account)
    copies: dict[str, Mapping[str, Path]] = {}
    for service in SERVICES:
        sources = {
            "NATS_NKEY_FILE": identities.nkey_file(service),
            "SEALING_KEY_FILE": identities.sealing_file(service),
            "SEALING_PUBLIC_FILE": identities.public_file,
            "METRICS_TOKEN_FILE": folder.metrics_token,
        }
        if service == "inventory":
            sources["KEY_RING_FILE"] = folder.key_ring
        if service == "gateway":
            sources["BOOTSTRAP_TOKEN_FILE"] = folder.bootstrap_token
        copies[service] = _copy(sources, parent / service, databases.get(service), account)
    return copies


def _copy(
    sources: Mapping[str, Path], place: Path, database: SecretStr | None, account: Account
) -> Mapping[str, Path]:
    place.mkdir(mode=0o700, exist_ok=True)
    files = {setting: place / source.name for setting, source in sources.items()}
    for setting, source in sources.items():
        write_whole(files[setting], source.read_text(encoding="utf-8"))
    if database is not None:
        files["DATABASE_URL_FILE"] = place / "database-url"
        write_whole(files["DATABASE_URL_FILE"], database.get_secret_value() + "\n")
    if os.geteuid() == 0:
        for path in (place, *files.values()):
            os.chown(path, account.uid, account.gid)
    return files
