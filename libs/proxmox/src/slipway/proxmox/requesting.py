"""One connection to a cluster's API, and how its answers become values. What can be asked is in `api`."""

from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from slipway.proxmox.access import ApiAccess
from slipway.proxmox.answers import Answer
from slipway.proxmox.connection import DEFAULT_TIMEOUT, DEFAULT_WORKERS, Connection
from slipway.proxmox.errors import ProxmoxFailed
from slipway.proxmox.upid import Upid
from slipway.proxmox.wire import Params, Reply

AnswerT = TypeVar("AnswerT", bound=Answer)
ReadT = TypeVar("ReadT")


class Asking:
    """A connection with the four verbs."""

    def __init__(
        self,
        access: ApiAccess,
        *,
        record: Path | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
        workers: int = DEFAULT_WORKERS,
    ) -> None:
        """Open nothing yet.

        Args:
            access: Where the cluster is and who asks.
            record: A file to which each request is appended, secrets masked.
            timeout: How long an answer may take; below 35 s creations become ambiguous.
            workers: How many requests at a time.
        """
        self._connection = Connection(access, record=record, timeout=timeout, workers=workers)

    @property
    def connection(self) -> Connection:
        """Where requests go: for who asks through it as well."""
        return self._connection

    async def aclose(self) -> None:
        """Drop the connections."""
        await self._connection.aclose()

    async def _get(self, *segments: str, params: Params | None = None) -> Reply:
        return await self._connection.request("GET", *segments, params=params)

    async def _post(self, *segments: str, params: Params) -> Reply:
        return await self._connection.request("POST", *segments, params=params)

    async def _put(self, *segments: str, params: Params) -> Reply:
        return await self._connection.request("PUT", *segments, params=params)

    async def _delete(self, *segments: str, params: Params | None = None) -> Reply:
        return await self._connection.request("DELETE", *segments, params=params)


def one(kind: type[AnswerT], reply: Reply) -> AnswerT:
    """Read an answer that is one value."""
    return _read(TypeAdapter(kind), reply.data)


def every(kind: type[AnswerT], reply: Reply) -> tuple[AnswerT, ...]:
    """Read an answer that is a list."""
    return _read(TypeAdapter(tuple[kind, ...]), reply.data or ())  # type: ignore[valid-type]  # a type made at run time


def upid_of(reply: Reply) -> Upid:
    """Read the name of the task that was begun."""
    try:
        return Upid(str(reply.data))
    except ValueError as error:
        raise ProxmoxFailed("Proxmox did not name a task.") from error


def _read(adapter: TypeAdapter[ReadT], data: Any) -> ReadT:
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        raise ProxmoxFailed("Proxmox answers in a way that Slipway does not understand.") from error
