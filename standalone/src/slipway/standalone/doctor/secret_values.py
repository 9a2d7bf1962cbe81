"""Every secret of an installation by value, so that what is handed on can be searched for each.

Those in files are always found. Those in the database (access to clusters, passwords of containers) are
opened with the key ring while PostgreSQL runs.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from slipway.runtime.database.engine import Database
from slipway.runtime.errors import DatabaseUnavailable, SecretUnreadable
from slipway.runtime.secrets.redaction import MASK
from slipway.runtime.secrets.vault import KeyRing, Vault
from slipway.standalone.doctor.files import secrets_of
from slipway.standalone.doctor.installation import Installation

SHORTEST = 5
"""A shorter value would be found in ordinary text; Proxmox takes no shorter password."""
_SEALED = """
    select id as owner, key as field, value as sealed from inventory.clusters, jsonb_each_text(secrets)
    union all select container_id, name, sealed from inventory.credentials
"""
_URL_SAFE = str.maketrans("+/", "-_")
_MOST_FILE_BYTES = 1 << 20
_BASE64_STARTS = (0, 2, 3)
"""How many characters of base64 depend on what stands before a value, by how many bytes that is."""
_FRAME = "-----"
"""Around a line of PEM that every such file has."""


class SecretValues:
    """What is masked: values, and what becomes of them in JSON, in a URL and in base64.

    Its work grows with the text alone, whatever number of values there is: a regular expression of the
    passwords of some thousand containers takes minutes.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._by_start: dict[str, list[str]] = {}
        forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
        for each in sorted(forms, key=len, reverse=True):
            self._by_start.setdefault(each[:SHORTEST], []).append(each)

    def masked(self, text: str) -> str:
        """Return a text without any of them."""
        parts: list[str] = []
        at = done = 0
        while at < len(text):
            beginning = self._by_start.get(text[at : at + SHORTEST], ())
            found = next((each for each in beginning if text.startswith(each, at)), None)
            if found is None:
                at += 1
            else:
                parts += (text[done:at], MASK)
                done = at = at + len(found)
        return "".join((*parts, text[done:]))


async def secret_values(installation: Installation) -> SecretValues:
    """Return the values; of one with several lines, each line as well."""
    texts = [*_texts(installation), *await _stored(installation)]
    return SecretValues(part for text in texts for part in _parts(text))


def _forms(value: str) -> Iterator[str]:
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield quote(value, safe="")
    content = value.encode()
    for shift, start in enumerate(_BASE64_STARTS):
        end = (shift + len(content)) * 8 // 6
        if end - start >= SHORTEST:
            inner = b64encode(b"-" * shift + content).decode()[start:end]
            yield from (inner, inner.translate(_URL_SAFE))


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
