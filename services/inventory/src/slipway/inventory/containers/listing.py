"""What is read of containers, which of them are listed, and in which order, as SQL.

A cursor is the id of the last container of a page: its place in any order is read from its row, which
stays also when it is deleted.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Select,
    String,
    Text,
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
from slipway.inventory.containers.documents import SPEC_FIELDS
from slipway.inventory.tables import ACTIVE, clusters, containers, credentials, jobs

SHOWN = ("root", "discovered")
"""Origins of the credentials that people see; they know the variables, which they set themselves."""
_JSON = {"spec", "pending", "services", "warnings"}
_ACTIVE_JOB = select(jobs.c.id).where(jobs.c.container_id == containers.c.id, jobs.c.state.in_(ACTIVE))
_REF = func.json_build_object("id", credentials.c.id, "name", credentials.c.name)
_CREDENTIALS = select(
    func.coalesce(cast(func.json_agg(aggregate_order_by(_REF, credentials.c.name)), Text), "[]")
).where(credentials.c.container_id == containers.c.id, credentials.c.origin.in_(SHOWN))
READ: Select[Any] = select(
    *(
        cast(column, Text).label(column.name) if column.name in _JSON else column
        for column in containers.c
        if column.name in Container.model_fields
    ),
    containers.c.forgotten_as.is_not(None).label("is_forgotten"),
    containers.c.spec.has_all(literal(SPEC_FIELDS, ARRAY(Text))).label("is_complete"),
    clusters.c.name.label("cluster"),
    _ACTIVE_JOB.scalar_subquery().label("job"),
    _CREDENTIALS.scalar_subquery().label("credentials"),
).join(clusters)
"""What `container_document` needs, in one statement: its row, its job and the rest are of one moment."""
ONE = str(
    READ.where(containers.c.id == literal_column("$1")).compile(
        dialect=dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"literal_binds": True},
    )
)
"""The same for one container, to be prepared once."""
_COLUMNS = MappingProxyType(
    {"created": containers.c.id, "hostname": containers.c.hostname, "vmid": containers.c.vmid}
)


def filters_of(query: ListContainers) -> list[ColumnElement[bool]]:
    """Return what a container must fulfil; `clusters` is joined."""
    conditions: list[ColumnElement[bool]] = [containers.c.lifecycle != Lifecycle.DELETED]
    for column, value in ((containers.c.node, query.node), (containers.c.template, query.template)):
        if value is not None:
            conditions.append(column == value)
    for column, values in ((containers.c.lifecycle, query.lifecycle), (containers.c.power, query.power)):
        if values:
            conditions.append(column.in_(values))
    if query.cluster is not None:
        conditions.append(or_(clusters.c.id == query.cluster, clusters.c.name == query.cluster))
    if query.tag is not None:
        conditions.append(has_tag(query.tag))
    if query.warning is not None:
        conditions.append(containers.c.warnings.contains([query.warning]))
    if query.q:
        texts = (
            containers.c.hostname,
            containers.c.template,
            cast(containers.c.spec["tags"], String),
            cast(containers.c.vmid, String),
        )
        conditions.append(or_(*(text.icontains(query.q, autoescape=True) for text in texts)))
    return conditions


def has_tag(tag: str) -> ColumnElement[bool]:
    """Return what a container with a tag fulfils, in upper or lower case: Proxmox stores it in lower case."""
    tags = cast(func.lower(cast(containers.c.spec["tags"], String)), JSONB)
    return tags.contains([tag.lower()])


def order_of(sort: ContainerSort) -> Sequence[ColumnElement[object]]:
    """Return the order; equals are in the order of their ids."""
    columns = (_column(sort), containers.c.id)
    return [column.desc() if _is_reversed(sort) else column.asc() for column in columns]


def comes_after(sort: ContainerSort, last: Id) -> ColumnElement[bool]:
    """Return what holds for all that come after a container."""
    last_row = containers.alias()
    at = select(last_row.c[_column(sort).name]).where(last_row.c.id == last).scalar_subquery()
    place, place_of_last = tuple_(_column(sort), containers.c.id), tuple_(at, literal(last))
    return place < place_of_last if _is_reversed(sort) else place > place_of_last


def _column(sort: ContainerSort) -> Column[object]:
    return _COLUMNS[sort.removeprefix("-")]


def _is_reversed(sort: ContainerSort) -> bool:
    return sort.startswith("-")
