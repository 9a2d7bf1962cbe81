"""Pages of lists, bounded in rows and in bytes: a reply must fit into one message of the bus."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.message import Value
from slipway.runtime.errors import unknown_cursor

LARGEST_BYTES = 896 * 1024
"""Below the megabyte that a message of the bus may have, with its headers."""
PORTION = 250
"""Rows of a long list that are read at once: a page of large rows is full before its limit."""
ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")
ValueT = TypeVar("ValueT", bound=Value)


async def require_cursor(
    tx: AsyncConnection, column: Column[Any], cursor: str | None, *conditions: ColumnElement[bool]
) -> None:
    """Raise unless the cursor is a row's place: anywhere else a list ends as if there were no more.

    Raises:
        CursorUnknown: names the field.
    """
    if cursor is None:
        return
    if (await tx.execute(select(column).where(column == cursor, *conditions))).first() is None:
        raise unknown_cursor(cursor)


class Filling(Generic[ItemT]):
    """A page that is being filled, in the order of the rows."""

    def __init__(self, limit: int, cursor: str, *, size_of: Callable[[ItemT], int]) -> None:
        """Begin with nothing.

        Args:
            limit: how many items at most.
            cursor: the column that the list is ordered by.
            size_of: the bytes that an item takes in the answer.
        """
        self._size_of = size_of
        self._limit = limit
        self._cursor = cursor
        self._size = 0
        self.items: list[ItemT] = []
        self.last: str | None = None
        """Where the last item is."""
        self.is_full = False
        """Whether another row found no room: there are more."""

    def take(self, rows: Iterable[RowT], make: Callable[[RowT], ItemT]) -> None:
        """Add the items of rows until one finds no room."""
        for row in rows:
            item = make(row)
            self._size += self._size_of(item)
            if len(self.items) == self._limit or (self.items and self._size > LARGEST_BYTES):
                self.is_full = True
                return
            self.items.append(item)
            self.last = str(getattr(row, self._cursor))

    @property
    def page(self) -> tuple[tuple[ItemT, ...], str | None]:
        """The items and where to go on."""
        return tuple(self.items), self.last if self.is_full else None


def page(
    rows: Iterable[Row[Any]], limit: int, make: Callable[[Row[Any]], ValueT], cursor: str
) -> tuple[tuple[ValueT, ...], str | None]:
    """Return the items of rows, up to one more than `limit`, and where to go on."""
    filling = Filling[ValueT](limit, cursor, size_of=lambda item: len(item.model_dump_json().encode()))
    filling.take(rows, make)
    return filling.page
