"""Secrets of one installation: made on the first start, stored, and given to each service as files.

A service's folder holds copies of what that service needs and nothing else, readable by the user that
services run as.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from slipway.contracts.registry import SERVICES
from slipway.runtime.secrets.vault import KeyRing
from slipway.runtime.topology.__main__ import AdminSettings
from slipway.runtime.topology.identities import Identities, generate
from slipway.standalone.embedded.process import Account, account_for
from slipway.standalone.embedded.shared import own_folder
from slipway.standalone.folders import DataFolder, write_whole

DATABASE_SERVICES = ("gateway", "inventory", "catalog")
"""Services that keep tables."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Everything secret, as paths."""

    identities: Identities
    key_ring: Path
    bootstrap_token: Path
    metrics_token: Path


def make_keys(folder: DataFolder) -> Keys:
    """Make the secrets that are missing."""
    keys = Keys(
        identities=generate(folder.identities),
        key_ring=folder.secrets / "key-ring.json",
        bootstrap_token=folder.bootstrap_token,
        metrics_token=folder.secrets / "metrics-token",
    )
    if not keys.key_ring.exists():
        KeyRing.create(keys.key_ring)
    for token in (keys.bootstrap_token, keys.metrics_token):
        if not token.exists():
            write_whole(token, secrets.token_urlsafe(32) + "\n")
    return keys


def admin_settings(keys: Keys, nats_url: str) -> AdminSettings:
    """Return the settings with which the topology is applied."""
    key = keys.identities.nkey_file
    return AdminSettings(
        nats_url=nats_url, nats_nkey_file=key("admin"), integrators_nkey_file=key("integrators-admin")
    )


def hand_out(
    folder: DataFolder, keys: Keys, databases: Mapping[str, SecretStr]
) -> Mapping[str, Mapping[str, Path]]:
    """Write each service's copies; return them by service and setting (`NATS_NKEY_FILE`)."""
    account = account_for(folder.path)
    place = own_folder(folder.path, "services", account)
    return {name: _one(place / name, name, keys, databases.get(name), account) for name in SERVICES}


def _one(
    place: Path, service: str, keys: Keys, database: SecretStr | None, account: Account
) -> Mapping[str, Path]:
    place.mkdir(mode=0o700, exist_ok=True)
    sources = {
        "NATS_NKEY_FILE": keys.identities.nkey_file(service),
        "SEALING_KEY_FILE": keys.identities.sealing_file(service),
        "SEALING_PUBLIC_FILE": keys.identities.public_file,
        "METRICS_TOKEN_FILE": keys.metrics_token,
    }
    if service == "inventory":
        sources["KEY_RING_FILE"] = keys.key_ring
    if service == "gateway":
        sources["BOOTSTRAP_TOKEN_FILE"] = keys.bootstrap_token
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
