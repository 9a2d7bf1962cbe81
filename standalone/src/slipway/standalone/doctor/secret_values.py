"""Every secret of an installation by value, so that what is handed on can be searched for each.

Those in files are always found. Those in the database (access to clusters, passwords of containers) are
opened with the key ring while PostgreSQL runs.
"""

import json
from collections.abc import Iterator
from typing import Any

from slipway.runtime.database.engine import Database
from slipway.runtime.errors import DatabaseUnavailable, SecretUnreadable
from slipway.runtime.secrets.vault import KeyRing, Vault
from slipway.standalone.doctor.files import secrets_of
from slipway.standalone.doctor.installation import Installation

SHORTEST = 6
"""A shorter value would be found in ordinary text."""
_SEALED = """
    select id as owner, key as field, value as sealed from inventory.clusters, jsonb_each_text(secrets)
    union all select container_id, name, sealed from inventory.credentials
"""
_MOST_FILE_BYTES = 1 << 20
_FRAME = "-----"
"""Around a line of PEM that every such file has."""


async def secret_values(installation: Installation) -> frozenset[str]:
    """Return the values; of one with several lines, each line as well."""
    texts = [*_texts(installation), *await _stored(installation)]
    found = {part for text in texts for part in _parts(text)}
    return frozenset(each for each in found if len(each) >= SHORTEST)


def _texts(installation: Installation) -> Iterator[str]:
    lab = (installation.folder.lab / "secrets").rglob("*")
    for path in (*secrets_of(installation), *(each for each in lab if each.is_file())):
        if path.stat().st_size <= _MOST_FILE_BYTES:
            yield path.read_text(encoding="utf-8", errors="replace")


async def _stored(installation: Installation) -> list[str]:
    """Open what the database has sealed; nothing while it does not run."""
    settings = installation.database("inventory")
    try:
        vault = Vault(KeyRing.from_file(installation.folder.key_ring))
    except SecretUnreadable:
        return []
    if settings is None:
        return []
    database = Database(settings)
    try:
        rows = await database.fetch(_SEALED)
    except DatabaseUnavailable:
        return []
    finally:
        await database.dispose()
    opened = []
    for row in rows:
        try:
            opened.append(vault.open(row.sealed, owner=row.owner, field=row.field).get_secret_value())
        except SecretUnreadable:
            # Then nobody here has ever seen it.
            continue
    return opened


def _parts(text: str) -> Iterator[str]:
    """Yield the whole, its lines, the strings of JSON, and the password of a URL."""
    whole = text.strip()
    try:
        content = json.loads(whole)
        # The names of a ring's keys are no secrets.
        yield from _strings(content.get("keys", content) if isinstance(content, dict) else content)
    except ValueError:
        yield whole
    for line in whole.splitlines():
        if not line.startswith(_FRAME):
            yield line.strip()
        before, at, _ = line.rpartition("@")
        if at and "://" in before:
            yield before.rpartition(":")[2]


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _strings(each)
        case list():
            for each in value:
                yield from _strings(each)
