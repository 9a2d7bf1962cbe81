"""Makes several writes with one statement: a round trip for each costs more than the write itself.

PostgreSQL makes the changes of one statement in no certain order, and each of them sees the rows as they were
before. So only writes of different tables share one; those of the same table follow one another.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from pydantic_core import to_json
from sqlalchemy import CTE, Table, Text, bindparam, cast, column, func, insert, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.inventory.decision import Write
from slipway.runtime.database import outbox
from slipway.runtime.database.outbox import Outgoing

_NOTHING_ELSE = select(literal(1))


async def write(tx: AsyncConnection, writes: Sequence[Write], messages: Sequence[Outgoing] = ()) -> None:
    """Make writes in their order, and add messages to the outbox with the last of them."""
    parts = list(_parts(writes)) or [[]]
    for part in parts:
        is_last = part is parts[-1]
        statement, values = outbox.addition(messages) if messages and is_last else (_NOTHING_ELSE, {})
        for number, each in enumerate(part):
            change, rows = _change(each, f"write_{number}")
            statement, values = statement.add_cte(change), values | rows
        if part or messages:
            await tx.execute(statement, values)


def _parts(writes: Sequence[Write]) -> Iterator[list[Write]]:
    """Split writes where a table comes again."""
    part: list[Write] = []
    for each in writes:
        if any(each.statement.table is other.statement.table for other in part):
            yield part
            part = []
        part.append(each)
    if part:
        yield part


def _change(write: Write, name: str) -> tuple[CTE, dict[str, Any]]:
    if not write.rows:
        return write.statement.cte(name), {}
    rows = to_json(write.rows).decode()
    return _insertion(write.statement.table, tuple(write.rows[0]), name), {f"{name}_rows": rows}


@cache
def _insertion(table: Table, names: tuple[str, ...], name: str) -> CTE:
    """Return the insertion of any number of rows, which are one value: a JSON array."""
    columns = (column(each, table.c[each].type) for each in names)
    array = cast(bindparam(f"{name}_rows", type_=Text), JSONB)
    rows = func.jsonb_to_recordset(array).table_valued(*columns, name="row").render_derived(with_types=True)
    return insert(table).from_select(names, select(*(rows.c[each] for each in names))).cte(name)
