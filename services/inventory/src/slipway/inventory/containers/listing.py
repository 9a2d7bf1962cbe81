"""What is read of containers, which of them are listed, and in which order, as SQL.

A cursor is the id of the last container of a page: its place in any order is read from its row, which
stays also when it is deleted.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Cast,
    Column,
    ColumnElement,
    Select,
    String,
    Text,
    any_,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by, dialect

from slipway.contracts.containers import Container, ListContainers
from slipway.contracts.message import Id
from slipway.contracts.values import ContainerSort, Lifecycle
from slipway.inventory.containers.documents import AS_TEXT, SPEC_FIELDS
from slipway.inventory.tables import ACTIVE, clusters, containers, credentials, jobs

SHOWN = ("root", "discovered")
"""Origins of the credentials that people see; they know the variables, which they set themselves."""
_ACTIVE_JOB = select(jobs.c.id).where(jobs.c.container_id == containers.c.id, jobs.c.state.in_(ACTIVE))
_REF = func.json_build_object("id", credentials.c.id, "name", credentials.c.name)
_CREDENTIALS = select(
    func.coalesce(cast(func.json_agg(aggregate_order_by(_REF, credentials.c.name)), Text), "[]")
).where(credentials.c.container_id == containers.c.id, credentials.c.origin.in_(SHOWN))
_FIELDS = set(Container.model_fields) - {"looked_at"}
"""The column `looked_at` is another thing: when a forgotten one was last looked for."""
READ: Select[Any] = select(
    *(
        cast(column, Text).label(column.name) if column.name in AS_TEXT else column
        for column in containers.c
        if column.name in _FIELDS
    ),
    containers.c.forgotten_as.is_not(None).label("is_forgotten"),
    containers.c.spec.has_all(literal(SPEC_FIELDS, ARRAY(Text))).label("is_complete"),
    clusters.c.name.label("cluster"),
    _ACTIVE_JOB.scalar_subquery().label("job"),
    _CREDENTIALS.scalar_subquery().label("credentials"),
).join(clusters)
"""What `container_document` needs, in one statement: its row, its job and the rest are of one moment."""
_SHAPES = 256
"""Statements that stay compiled: a list has another one for each set of filters."""
_ORDERS = MappingProxyType(
    {"created": containers.c.id, "hostname": containers.c.hostname, "vmid": containers.c.vmid}
)
_TEXTS = (
    containers.c.hostname,
    containers.c.template,
    cast(containers.c.spec["tags"], String),
    cast(containers.c.vmid, String),
)
_FILTERS: Mapping[str, Callable[[ColumnElement[Any]], ColumnElement[bool]]] = MappingProxyType(
    {
        "node": lambda name: containers.c.node == name,
        "template": lambda name: containers.c.template == name,
        "lifecycle": lambda states: containers.c.lifecycle == any_(states),
        "power": lambda powers: containers.c.power == any_(powers),
        "cluster": lambda cluster: or_(clusters.c.id == cluster, clusters.c.name == cluster),
        "tag": lambda tag: _lower_tags().has_key(func.lower(tag)),
        "warning": containers.c.warnings.has_key,
        "q": lambda pattern: or_(*(each.ilike(pattern, escape="/") for each in _TEXTS)),
    }
)


def select_portion(query: ListContainers, last: Id | None, limit: int) -> tuple[str, Sequence[object]]:
    """Return the statement that reads a part of a list, and its arguments.

    Args:
        query: which containers, in which order.
        last: after which one; None begins.
        limit: how many at most.
    """
    wanted: dict[str, object] = {"last": last} if last is not None else {}
    wanted |= {name: getattr(query, name) for name in _FILTERS if getattr(query, name)}
    if query.q:
        escaped = query.q.replace("/", "//").replace("%", "/%").replace("_", "/_")
        wanted["q"] = f"%{escaped}%"
    return _portion(query.sort, tuple(wanted)), [limit, *wanted.values()]


def has_tag(tag: str) -> ColumnElement[bool]:
    """Return what a container with a tag fulfils, in upper or lower case: Proxmox stores it in lower case."""
    fulfils: ColumnElement[bool] = _lower_tags().has_key(tag.lower())
    return fulfils


@lru_cache(_SHAPES)
def _portion(sort: ContainerSort, names: tuple[str, ...]) -> str:
    limit, *values = (_argument(number, name) for number, name in enumerate(("limit", *names), 1))
    selected = READ.where(containers.c.lifecycle != Lifecycle.DELETED)
    for name, value in zip(names, values, strict=True):
        selected = selected.where(_comes_after(sort, value) if name == "last" else _FILTERS[name](value))
    columns = (_column(sort), containers.c.id)
    order = [column.desc() if _is_reversed(sort) else column.asc() for column in columns]
    return _sql(selected.order_by(*order).limit(limit))


def _argument(number: int, name: str) -> ColumnElement[Any]:
    kind = ARRAY(Text) if name in {"lifecycle", "power"} else BigInteger() if name == "limit" else Text()
    return cast(literal_column(f"${number}"), kind)


def _comes_after(sort: ContainerSort, last: ColumnElement[Any]) -> ColumnElement[bool]:
    last_row = containers.alias()
    at = select(last_row.c[_column(sort).name]).where(last_row.c.id == last).scalar_subquery()
    place, place_of_last = tuple_(_column(sort), containers.c.id), tuple_(at, last)
    return place < place_of_last if _is_reversed(sort) else place > place_of_last


def _lower_tags() -> Cast[Any]:
    return cast(func.lower(cast(containers.c.spec["tags"], String)), JSONB)


def _column(sort: ContainerSort) -> Column[object]:
    return _ORDERS[sort.removeprefix("-")]


def _is_reversed(sort: ContainerSort) -> bool:
    return sort.startswith("-")


def _sql(selected: Select[Any]) -> str:
    in_full = {"literal_binds": True}
    return str(selected.compile(dialect=dialect(paramstyle="named"), compile_kwargs=in_full))  # type: ignore[no-untyped-call]


ONE = _sql(READ.where(containers.c.id == _argument(1, "id")))
"""Reads one container; its argument is the id."""
EXISTS = _sql(select(containers.c.id).where(containers.c.id == _argument(1, "id")))
"""Finds whether there is one, for the same."""
