"""Each service's own copies of the secrets it needs: which they are, where they are, and writing them.

A service's folder holds nothing else, and is readable by the user that services run as.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from slipway.runtime.topology.identity_files import Identities
from slipway.standalone.embedded.process import account_for
from slipway.standalone.embedded.shared import give, services_folder
from slipway.standalone.folders import DataFolder, write_whole
from slipway.standalone.services import START_ORDER, WITH_TABLES

_DATABASE_URL = "DATABASE_URL_FILE"


def handouts(folder: DataFolder) -> Mapping[str, Mapping[str, Path]]:
    """Return where the copies are or will be, by service and setting (`NATS_NKEY_FILE`)."""
    parent = _parent(folder)
    places = {}
    for service in START_ORDER:
        names = {setting: source.name for setting, source in _sources(folder, service).items()}
        if service in WITH_TABLES:
            names[_DATABASE_URL] = "database-url"
        places[service] = {setting: parent / service / name for setting, name in names.items()}
    return places


def hand_out(folder: DataFolder, database_urls: Mapping[str, str]) -> None:
    """Write the copies anew; the databases' URLs are by service."""
    account = account_for(folder.path)
    owner = (account.uid, account.gid) if os.geteuid() == 0 else None
    for service, files in handouts(folder).items():
        place = _parent(folder) / service
        place.mkdir(mode=0o700, exist_ok=True)
        give(place, account)
        for setting, source in _sources(folder, service).items():
            write_whole(files[setting], source.read_text(encoding="utf-8"), owner=owner)
        if service in WITH_TABLES:
            write_whole(files[_DATABASE_URL], f"{database_urls[service]}\n", owner=owner)


def _parent(folder: DataFolder) -> Path:
    return services_folder(folder.path, account_for(folder.path))


def _sources(folder: DataFolder, service: str) -> dict[str, Path]:
    keys = Identities(folder.identities)
    sources = {
        "NATS_NKEY_FILE": keys.nkey_file(service),
        "SEALING_KEY_FILE": keys.sealing_file(service),
        "SEALING_PUBLIC_FILE": keys.public_file,
        "METRICS_TOKEN_FILE": folder.metrics_token,
    }
    if service == "inventory":
        sources["KEY_RING_FILE"] = folder.key_ring
    if service == "gateway":
        sources["BOOTSTRAP_TOKEN_FILE"] = folder.bootstrap_token
    return sources
