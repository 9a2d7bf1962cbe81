"""One connection to a cluster's API, and how its answers become values. What can be asked is in `api`."""

from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Self, TypeVar

from slipway.proxmox.access import ApiAccess
from slipway.proxmox.connection import DEFAULT_TIMEOUT, DEFAULT_WORKERS
from slipway.proxmox.endpoints import Endpoints
from slipway.proxmox.errors import ProxmoxFailed
from slipway.proxmox.fields import Answer
from slipway.proxmox.protocols import HostApi
from slipway.proxmox.reading import NoteUnreadable, Reader, ignore_unreadable
from slipway.proxmox.upid import Upid
from slipway.proxmox.wire import Params, Reply

AnswerT = TypeVar("AnswerT", bound=Answer)


class Asking:
    """A connection with the four methods of HTTP."""

    def __init__(
        self,
        access: ApiAccess,
        *,
        record: Path | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
        workers: int = DEFAULT_WORKERS,
        unreadable: NoteUnreadable = ignore_unreadable,
    ) -> None:
        """Create it without opening anything.

        Args:
            access: Where the cluster is and who asks.
            record: A file to which each request is appended, secrets masked.
            timeout: How long an answer may take; below 35 s creations become ambiguous.
            workers: How many requests at a time.
            unreadable: Is called with each part of an answer that can't be read.
        """
        self.connection = Endpoints(access, record=record, timeout=timeout, workers=workers)
        self.reader = Reader(unreadable)
        self._host: HostApi = self.connection
        self._within: timedelta | None = None

    def through(self, host: HostApi) -> Self:
        """Return a view of this API whose requests go another way."""
        view = copy(self)
        view._host = host  # noqa: SLF001 - a copy of itself
        return view

    def within(self, timeout: timedelta) -> Self:
        """Return a view of this API for questions that have to be answered sooner."""
        view = copy(self)
        view._within = timeout  # noqa: SLF001 - a copy of itself
        return view

    async def aclose(self) -> None:
        """Drop the connections."""
        await self.connection.aclose()

    async def _get(self, *segments: str, params: Params | None = None) -> Reply:
        return await self._host.request("GET", *segments, params=params, within=self._within)

    async def _one(self, kind: type[AnswerT], *segments: str, params: Params | None = None) -> AnswerT:
        return self.reader.one(kind, await self._get(*segments, params=params))

    async def _every(
        self, kind: type[AnswerT], *segments: str, params: Params | None = None
    ) -> tuple[AnswerT, ...]:
        return self.reader.every(kind, await self._get(*segments, params=params))

    async def _change(self, method: str, *segments: str, params: Params | None = None) -> Reply:
        return await self._host.request(method, *segments, params=params)

    async def _begin(self, method: str, *segments: str, params: Params | None = None) -> Upid:
        return upid_of(await self._change(method, *segments, params=params))


def upid_of(reply: Reply) -> Upid:
    """Read the name of the task that was begun."""
    try:
        return Upid(str(reply.data))
    except ValueError as error:
        raise ProxmoxFailed("Proxmox did not name a task.") from error
