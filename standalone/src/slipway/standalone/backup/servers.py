"""Database and bus of a data folder, running under `up` or started for us alone."""

import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client

from slipway.cli.errors import CommandFailed
from slipway.cli.terminal import say
from slipway.runtime.topology.__main__ import AdminSettings, connected
from slipway.runtime.topology.identity_files import Identities
from slipway.standalone.embedded.nats import EmbeddedNats, NatsOptions
from slipway.standalone.embedded.postgres import EmbeddedPostgres, PostgresOptions
from slipway.standalone.folders import DataFolder, FolderInUse


@dataclass(frozen=True, slots=True)
class Servers:
    """The database, and a connection to the bus as its administrator."""

    postgres: EmbeddedPostgres
    bus: Client


@asynccontextmanager
async def reached(folder: DataFolder) -> AsyncIterator[Servers]:
    """Reach the servers of a folder: those of `up` while it runs, else our own until the block ends.

    Raises:
        CommandFailed: if the folder is not one of `slipway up`.
    """
    if not folder.key_ring.is_file() or not (folder.path / "postgres").is_dir():
        raise CommandFailed(f"{folder.path} is not the data folder of a `slipway up`; name it with --data")
    try:
        lock = folder.take()
    except FolderInUse:
        async with _running(folder) as servers:
            yield servers
        return
    with lock:
        folder.end_leftovers()
        say("Slipway does not run there; its database and bus are started for the backup alone.")
        async with started(folder) as servers:
            yield servers


@asynccontextmanager
async def started(folder: DataFolder, *, is_durable: bool = True) -> AsyncIterator[Servers]:
    """Start both servers of a locked folder; they end with the block.

    A bus that is not durable is fast, and on disk only when the block has ended.
    """
    users = Identities(folder.identities).users_file
    options = NatsOptions(users_file=users, is_durable=is_durable)
    postgres, nats = EmbeddedPostgres(folder.path), EmbeddedNats(folder.path, options)
    with contextlib.ExitStack() as stack:
        for server in (postgres, nats):
            server.start()
            stack.callback(server.stop)
        async with _bus_of(folder, nats.url) as bus:
            yield Servers(postgres, bus)
    if not is_durable:
        _sync(nats.folder)


def _sync(folder: Path) -> None:
    """Have everything in a folder on disk."""
    for path in (folder, *folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@asynccontextmanager
async def _running(folder: DataFolder) -> AsyncIterator[Servers]:
    try:
        url = json.loads(folder.endpoints.read_text(encoding="utf-8"))["nats"]
    except FileNotFoundError as error:
        raise CommandFailed(f"slipway is starting or stopping on {folder.path}; try again then") from error
    port = EmbeddedPostgres(folder.path).running_port
    async with _bus_of(folder, url) as bus:
        yield Servers(EmbeddedPostgres(folder.path, PostgresOptions(port=port)), bus)


@asynccontextmanager
async def _bus_of(folder: DataFolder, url: str) -> AsyncIterator[Client]:
    key = Identities(folder.identities).nkey_file("admin")
    async with connected(AdminSettings(nats_url=url), key, "admin") as bus:
        yield bus
