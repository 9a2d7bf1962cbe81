"""Checks of what the services need: ports, the database with its schemas, the bus with its streams."""

import asyncio
import socket
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from nats.js.api import StreamInfo

from slipway.contracts.problems import SlipwayError
from slipway.contracts.registry import SERVICES
from slipway.runtime.bus.stream_watch import FULL_SHARE, WARN_SHARE
from slipway.runtime.database.engine import Database, is_migrated
from slipway.runtime.errors import BusUnavailable
from slipway.runtime.process.settings import DatabaseSettings
from slipway.runtime.secrets.vault import KeyRing
from slipway.runtime.topology.__main__ import connected
from slipway.runtime.topology.declared import DEAD_LETTERS
from slipway.runtime.topology.reconcile import verify
from slipway.standalone.doctor.findings import Finding, NotChecked, failed, ok, warning
from slipway.standalone.doctor.installation import Installation
from slipway.standalone.embedded.ports import HOST, PortTaken, require_free
from slipway.standalone.services import WITH_TABLES

_LOGS = (
    "look at {}.log in the data folder; `slipway up` starts it again when it has ended; if it hangs, restart "
    "Slipway"
)
_BUS_SECONDS = 8.0
"""For everything that is asked of the bus: one that stands still takes a connection, and says nothing."""
_SEALING_KEYS = """
    select distinct split_part(sealed, ':', 2) as key from inventory.credentials
    union select distinct split_part(value, ':', 2) from inventory.clusters, jsonb_each_text(secrets)
"""


async def port(installation: Installation) -> Finding:
    """Whether the page's port is ours, or free for us."""
    if installation.is_running:
        if not installation.endpoints:
            raise NotChecked("`slipway up` is not ready yet")
        url = installation.page_url
        where = urlsplit(url)
        with socket.create_connection((where.hostname or HOST, where.port or 443), timeout=3):
            return ok(f"the page and the API are at {url}")
    try:
        require_free(installation.port)
    except PortTaken:
        remedy = (
            f"end what listens there (`ss -ltnp 'sport = {installation.port}'`), or choose another --port"
        )
        return failed(f"another program listens on port {installation.port}", remedy)
    return ok(f"port {installation.port} is free")


async def postgres(installation: Installation) -> Finding:
    """Whether the database answers."""
    database = Database(_settings(installation, "inventory"))
    try:
        version = (await database.fetch("select current_setting('server_version') as version"))[0].version
    except SlipwayError as error:
        return failed(f"PostgreSQL does not answer: {error}", _LOGS.format("postgres"))
    finally:
        await database.dispose()
    return ok(f"PostgreSQL {version} answers")


async def migrations(installation: Installation) -> Finding:
    """Whether every schema is at the newest revision that this version knows."""
    behind = [
        schema
        for schema in WITH_TABLES
        if not await is_migrated(
            _settings(installation, schema), Path(str(files(f"slipway.{schema}") / "migrations"))
        )
    ]
    if behind:
        remedy = (
            "restart `slipway up`, which migrates; if a newer version has migrated them, install that one"
        )
        return failed(f"not at this version's newest revision: {', '.join(behind)}", remedy)
    return ok(f"{', '.join(WITH_TABLES)} are at their newest revisions")


async def sealed_secrets(installation: Installation) -> Finding:
    """Whether the key ring has every key that sealed a stored secret."""
    database = Database(_settings(installation, "inventory"))
    try:
        rows = await database.fetch(_SEALING_KEYS)
    finally:
        await database.dispose()
    missing = sorted({row.key for row in rows} - KeyRing.from_file(installation.folder.key_ring).keys.keys())
    if missing:
        message = f"stored secrets were sealed by keys that are not in the ring: {', '.join(missing)}"
        return failed(message, "bring the key ring of that time back, or store those secrets anew")
    return ok("the key ring opens every stored secret")


async def bus(installation: Installation) -> Finding:
    """Whether the bus answers, and has every stream and consumer."""
    try:
        streams = await streams_of(installation)
    except SlipwayError as error:
        return failed(str(error), _LOGS.format("nats"))
    return ok(f"nats-server answers; it has all {len(streams)} streams and their consumers")


async def fill(installation: Installation) -> Finding:
    """Whether every stream has room."""
    shares = {
        name: info.state.bytes / info.config.max_bytes
        for name, info in (await streams_of(installation)).items()
        if info.config.max_bytes and info.config.max_bytes > 0
    }
    name, share = max(shares.items(), key=lambda each: each[1], default=("none", 0.0))
    message = f"the fullest stream is {name}, {share:.0%}"
    remedy = (
        f"give it more room (SLIPWAY_{name.removeprefix('KV_').removeprefix('OBJ_')}_MAX_BYTES, then restart)"
    )
    if share >= FULL_SHARE:
        return failed(message, remedy)
    return warning(message, remedy) if share >= WARN_SHARE else ok(message)


async def dead_letters(installation: Installation) -> Finding:
    """Whether there are messages that could not be handled."""
    count = (await streams_of(installation))[DEAD_LETTERS].state.messages
    if count:
        remedy = "see what they are (GET /api/v1/dead-letters), mend the cause, then replay or drop them"
        return warning(f"{count} messages could not be handled", remedy)
    return ok("there are none")


async def streams_of(installation: Installation) -> dict[str, StreamInfo]:
    """Return every stream's state by name.

    Raises:
        NotChecked: if the bus does not run.
        SlipwayError: if it does not answer in time, or a stream or a consumer is missing.
    """
    settings = installation.bus()
    if settings is None:
        raise NotChecked("the bus does not run")
    try:
        async with (
            asyncio.timeout(_BUS_SECONDS),
            connected(settings, settings.nats_nkey_file, "admin") as connection,
        ):
            return {
                str(info.config.name): info
                for service in SERVICES
                for info in (await verify(connection, service))[1]
            }
    except TimeoutError as error:
        raise BusUnavailable(f"The bus did not answer within {_BUS_SECONDS:.0f} seconds.") from error


def _settings(installation: Installation, schema: str) -> DatabaseSettings:
    settings = installation.database(schema)
    if settings is None:
        raise NotChecked("PostgreSQL does not run")
    return settings
