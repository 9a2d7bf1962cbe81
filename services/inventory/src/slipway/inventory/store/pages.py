"""Pages of lists, bounded in rows and in bytes: a reply must fit into one message of the bus."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import Row

from slipway.contracts.message import Value

LARGEST_BYTES = 512 * 1024
ItemT = TypeVar("ItemT", bound=Value)


def page(
    rows: Iterable[Row[Any]], limit: int, make: Callable[[Row[Any]], ItemT], cursor: str
) -> tuple[tuple[ItemT, ...], str | None]:
    """Give the items and where to go on.

    Args:
        rows: up to one more than `limit`.
        limit: how many items at most.
        make: gives a row's item.
        cursor: the column that the list is ordered by.
    """
    items: list[ItemT] = []
    size, last = 0, None
    for row in rows:
        item = make(row)
        size += len(item.model_dump_json())
        if len(items) == limit or (items and size > LARGEST_BYTES):
            return tuple(items), last
        items.append(item)
        last = str(row._mapping[cursor])  # noqa: SLF001  SQLAlchemy's public name for it
    return tuple(items), None
