"""What is read of containers, which of them are listed, and in which order, as SQL.

A cursor is the id of the last container of a page: its place in any order is read from its row, which
stays also when it is deleted.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Select,
    Text,
    any_,
    cast,
    func,
    literal,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from slipway.contracts.containers import Container, ListContainers
from slipway.contracts.message import Id
from slipway.contracts.values import ContainerSort, ContainerView, Lifecycle
from slipway.inventory.containers.clauses import Shape, arguments_of, clause, shape_of
from slipway.inventory.containers.documents import AS_TEXT, SPEC_FIELDS
from slipway.inventory.containers.terms import EVERYTHING, Search
from slipway.inventory.tables import ACTIVE, clusters, containers, credentials, jobs
from slipway.runtime.database.engine import sql_of

SHOWN = ("root", "discovered")
"""Origins of the credentials that people see; they know the variables, which they set themselves."""
_ACTIVE_JOB = select(jobs.c.id).where(jobs.c.container_id == containers.c.id, jobs.c.state.in_(ACTIVE))
_REF = func.json_build_object("id", credentials.c.id, "name", credentials.c.name)
_REFS = cast(func.json_agg(aggregate_order_by(_REF, credentials.c.name)), Text)
_CREDENTIALS = select(func.coalesce(_REFS, "[]")).where(
    credentials.c.container_id == containers.c.id, credentials.c.origin.in_(SHOWN)
)
_FIELDS = set(Container.model_fields) - {"looked_at"}
"""The column `looked_at` is another thing: when a forgotten one was last looked for."""
_VERSION: ColumnElement[int] = literal_column("containers.xmin").label("version")
"""Another one after each change of the row: the transaction that wrote it (PostgreSQL, "System Columns")."""
SUMMARY: Select[Any] = select(
    *(
        cast(column, Text).label(column.name) if column.name in AS_TEXT else column
        for column in containers.c
        if column.name in _FIELDS - {"spec", "pending"}
    ),
    containers.c.forgotten_as.is_not(None).label("is_forgotten"),
    _VERSION,
    clusters.c.name.label("cluster"),
    _ACTIVE_JOB.scalar_subquery().label("job"),
).join(clusters)
"""What the document of a summary needs, in one statement: its row, its job and the rest are of one moment."""
READ = SUMMARY.add_columns(
    cast(containers.c.spec, Text).label("spec"),
    cast(containers.c.pending, Text).label("pending"),
    containers.c.spec.has_all(literal(SPEC_FIELDS, ARRAY(Text))).label("is_complete"),
    _CREDENTIALS.scalar_subquery().label("credentials"),
)
"""The same for a whole document."""
_PLACE = ("id", "hostname", "vmid", "node", "cluster_id", "lifecycle", "observed_at", "updated_at")
"""What a list is ordered by, what says when a container was seen, and what tells its row's versions apart."""
_SHAPES = 256
"""Statements that stay compiled: a list has another one for each shape of a search."""
_ORDERS = MappingProxyType(
    {"created": containers.c.id, "hostname": containers.c.hostname, "vmid": containers.c.vmid}
)


def select_portion(
    query: ListContainers, search: Search, last: Id | None, limit: int
) -> tuple[str, Sequence[object]]:
    """Return the statement that reads which containers are a part of a list, and its arguments.

    Its rows have `_PLACE`, the version of the container's own row, and what a document has beside that.

    Args:
        query: what of them, in which order.
        search: which containers.
        last: after which one; None begins.
        limit: how many at most.
    """
    beginning = [] if last is None else [last]
    statement = _portion(query.view, query.sort, limit, shape_of(search), is_first=last is None)
    return statement, [*beginning, *arguments_of(search)]


@lru_cache(_SHAPES)
def _portion(view: ContainerView, sort: ContainerSort, limit: int, shape: Shape, *, is_first: bool) -> str:
    """Return the statement; the limit stands in it, since one that is an argument is planned each time."""
    selected = select(*(containers.c[name] for name in _PLACE), _VERSION, clusters.c.name.label("cluster"))
    selected = selected.join(clusters).where(containers.c.lifecycle != Lifecycle.DELETED)
    if not is_first:
        selected = selected.where(_comes_after(sort, _argument(1, Text())))
    if shape != shape_of(EVERYTHING):
        numbers = count(1 if is_first else 2)
        selected = selected.where(clause(shape, (_argument(number, ARRAY(Text)) for number in numbers)))
    page = selected.order_by(*_order(sort, containers.c)).limit(limit).cte("page")
    ids = any_(func.array(select(page.c.id).scalar_subquery()))
    active = select(jobs.c.id, jobs.c.container_id)
    active_jobs = active.where(jobs.c.container_id == ids, jobs.c.state.in_(ACTIVE)).subquery("active")
    whole = select(page, active_jobs.c.id.label("job"))
    joined = page.outerjoin(active_jobs, active_jobs.c.container_id == page.c.id)
    if view is ContainerView.FULL:
        refs = select(credentials.c.container_id, _REFS.label("refs"))
        refs = refs.where(credentials.c.container_id == ids, credentials.c.origin.in_(SHOWN))
        of_page = refs.group_by(credentials.c.container_id).subquery("of_page")
        whole = whole.add_columns(func.coalesce(of_page.c.refs, "[]").label("credentials"))
        joined = joined.outerjoin(of_page, of_page.c.container_id == page.c.id)
    return sql_of(whole.select_from(joined).order_by(*_order(sort, page.c)))


def _order(sort: ContainerSort, columns: Any) -> list[ColumnElement[Any]]:
    place = columns[_column(sort).name], columns.id
    return [column.desc() if _is_reversed(sort) else column.asc() for column in place]


def _argument(number: int, kind: Any) -> ColumnElement[Any]:
    return cast(literal_column(f"${number}"), kind)


def _comes_after(sort: ContainerSort, last: ColumnElement[Any]) -> ColumnElement[bool]:
    last_row = containers.alias()
    at = select(last_row.c[_column(sort).name]).where(last_row.c.id == last).scalar_subquery()
    place, place_of_last = tuple_(_column(sort), containers.c.id), tuple_(at, last)
    return place < place_of_last if _is_reversed(sort) else place > place_of_last


def _column(sort: ContainerSort) -> Column[object]:
    return _ORDERS[sort.removeprefix("-")]


def _is_reversed(sort: ContainerSort) -> bool:
    return sort.startswith("-")


ONE = sql_of(READ.where(containers.c.id == _argument(1, Text())))
"""Reads one container; its argument is the id."""
EXISTS = sql_of(select(containers.c.id).where(containers.c.id == _argument(1, Text())))
"""Finds whether there is one, for the same."""
MANY = MappingProxyType(
    {
        view: sql_of(columns.where(containers.c.id == any_(_argument(1, ARRAY(Text)))))
        for view, columns in ((ContainerView.FULL, READ), (ContainerView.SUMMARY, SUMMARY))
    }
)
"""Reads some containers; its argument are their ids."""
