"""Pages of containers; what stands in a row stays rendered until the row changes.

Theory of operation. Most of a document comes from its container's own row, which is large and seldom changes.
So a page first reads which containers it has, the version of each one's row, and the little that stands
beside it. A document whose row is known in that version is put together from both; the others are read whole,
with what stands beside them then, and their rows are remembered. So what is shown of one container is always
of one moment. A version is the transaction that wrote the row, and the time of the change: after a failover
that lost something a transaction's number may come again.
"""

from collections.abc import Callable, Mapping, Sequence

from slipway.contracts.containers import ListContainers
from slipway.contracts.message import Id, Moment
from slipway.contracts.values import ContainerView, Lifecycle
from slipway.inventory.containers.documents import container_document, own_part
from slipway.inventory.containers.listing import EXISTS, MANY, select_portion
from slipway.inventory.containers.search import search_of
from slipway.inventory.paging import PORTION, Filling
from slipway.runtime.database.engine import Database, Record
from slipway.runtime.errors import unknown_cursor

MOST = 1000
"""Rows that stay rendered, of both views together."""
LARGEST_BYTES = 16 * 1024
"""Of one that does."""

Version = tuple[int, Moment]
Make = Callable[[Record, bytes], bytes]
"""Makes a document of what stands beside a container's row, and of what stands in it."""


class ContainerPages:
    """Reads pages of containers."""

    def __init__(self, database: Database, *, most: int = MOST) -> None:
        self._database = database
        self._most = most
        self._own: dict[tuple[ContainerView, Id], tuple[Version, bytes]] = {}
        """The oldest first."""

    async def page(
        self, query: ListContainers, make: Make = container_document
    ) -> tuple[Sequence[bytes], str | None]:
        """Return the documents of living containers, oldest first unless asked otherwise, and where to go on.

        Args:
            query: which ones, in which order, and how much of each.
            make: makes the document of one.

        Raises:
            CursorUnknown: if the cursor is no container.
            SearchInvalid: if `q` can't be read.
        """
        if query.cursor is not None and not await self._database.fetch(EXISTS, query.cursor):
            raise unknown_cursor(query.cursor)
        search = search_of(query)
        filling = Filling[bytes](query.limit, "id", size_of=len)
        has_more = True
        while has_more and not filling.is_full:
            portion = min(PORTION, query.limit + 1 - len(filling.items))
            statement, arguments = select_portion(query, search, filling.last or query.cursor, portion)
            rows = await self._database.fetch(statement, *arguments)
            has_more = len(rows) == portion
            rows, own = await self._with_own(query.view, rows)
            filling.take(rows, lambda row, own=own: make(row, own[row["id"]]))  # type: ignore[misc]
        return filling.page

    async def _with_own(
        self, view: ContainerView, rows: Sequence[Record]
    ) -> tuple[Sequence[Record], Mapping[Id, bytes]]:
        """Return rows, and what stands in each container's own; one that has changed is read whole."""
        own: dict[Id, bytes] = {}
        for row in rows:
            known = self._own.get((view, row["id"]))
            if known is not None and known[0] == _version(row):
                own[row["id"]] = known[1]
        unknown = [row["id"] for row in rows if row["id"] not in own]
        if not unknown:
            return rows, own
        read = {row["id"]: row for row in await self._database.fetch(MANY[view], unknown)}
        for container, row in read.items():
            own[container] = part = own_part(row)
            self._remember(view, row, part)
        whole = [read.get(row["id"], row) for row in rows]
        return [row for row in whole if row["id"] in own and row["lifecycle"] != Lifecycle.DELETED], own

    def _remember(self, view: ContainerView, row: Record, part: bytes) -> None:
        if len(part) > LARGEST_BYTES:
            return
        self._own[view, row["id"]] = _version(row), part
        if len(self._own) > self._most:
            del self._own[next(iter(self._own))]


def _version(row: Record) -> Version:
    return row["version"], row["updated_at"]
