"""Content-addressed archives: the key of a bundle is the SHA-256 of its bytes.

A bundle never changes, may be stored twice without harm, and is verified whenever it is read.
"""

import hashlib
from typing import Any

from nats.js.errors import NotFoundError

from slipway.contracts.problems import NotFound
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.connection import needs_bus
from slipway.runtime.bus.stored import read_all
from slipway.runtime.errors import BusUnavailable
from slipway.runtime.topology.declared import BUNDLES

CHUNKS = 32
"""Chunks of 128 KiB that are read at once."""


class BundleNotFound(NotFound):
    """There is no archive with this hash."""

    code = "bundle.not-found"


class Bundles:
    """The object store of archives."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, archive: bytes) -> str:
        """Store an archive and return its hash; an existing one is left as it is.

        Idempotent: the name is the hash of the content.
        """
        name = hashlib.sha256(archive).hexdigest()
        with needs_bus("The bus did not store a bundle.", sha256=name):
            store = await self._store()
            if not await self._has(store, name):
                await store.put(name, archive)
        return name

    async def has(self, sha256: str) -> bool:
        """Whether there is an archive with this hash."""
        with needs_bus("The bus did not answer about a bundle.", sha256=sha256):
            return await self._has(await self._store(), sha256)

    async def get(self, sha256: str) -> bytes:
        """Read an archive and check it against its hash."""
        with needs_bus("The bus did not answer about a bundle.", sha256=sha256):
            try:
                info = await (await self._store()).get_info(sha256)
            except NotFoundError as error:
                raise BundleNotFound("There is no such bundle.", sha256=sha256) from error
        archive = await self._read(str(info.nuid))
        if hashlib.sha256(archive).hexdigest() != sha256:
            raise BusUnavailable("A bundle arrived incomplete.", sha256=sha256)
        return archive

    async def _read(self, nuid: str) -> bytes:
        subject = f"$O.{BUNDLES}.C.{nuid}"
        chunks = await read_all(self._bus.connection, f"OBJ_{BUNDLES}", subject=subject, page=CHUNKS)
        return b"".join(chunk.payload for chunk in chunks)

    async def _has(self, store: Any, name: str) -> bool:
        try:
            await store.get_info(name)
        except NotFoundError:
            return False
        return True

    async def _store(self) -> Any:
        return await self._bus.connection.jetstream().object_store(BUNDLES)
