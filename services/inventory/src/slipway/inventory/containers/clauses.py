"""Searches as SQL: one condition on `containers` joined with `clusters`, which needs no second statement.

Each value is an argument, so a statement depends on a search's shape only. The index `containers_tags` finds
tags; the other words are compared row by row, a search of some ten thousand being short (see the page on
searches in the reference).
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    not_,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import INET, INT4RANGE, JSONB

from slipway.contracts.values import Lifecycle, Power
from slipway.inventory.containers.terms import TEXT, Search
from slipway.inventory.tables import clusters, containers

Values = ColumnElement[Any]
Shape = tuple[tuple[tuple[str, bool], ...], ...]
"""Of a search: each term's word, and whether it is negated."""
_IS_SHOWN = or_(containers.c.power == Power.RUNNING, containers.c.lifecycle == Lifecycle.CREATING)
_ADDRESS = case((_IS_SHOWN, containers.c.address))
"""An address that is in use; of a container that is off it is not shown, and may be another's by now."""


def shape_of(search: Search) -> Shape:
    """Return the shape of a search, which its statement stays compiled for."""
    return tuple(tuple((term.word, term.is_negated) for term in part) for part in search)


def arguments_of(search: Search) -> list[list[str]]:
    """Return the values of each term, in the order that `clause` takes them."""
    return [list(term.values) for part in search for term in part]


def clause(shape: Shape, arguments: Iterator[Values]) -> ColumnElement[bool]:
    """Return what a search's containers fulfil.

    Args:
        shape: of the search.
        arguments: for each term the array of its values.
    """
    return or_(
        false(),
        *(
            and_(*(_term(word, next(arguments), is_negated=is_negated) for word, is_negated in part))
            if part
            else ~false()
            for part in shape
        ),
    )


def clause_of(search: Search) -> ColumnElement[bool]:
    """Return the same with the values in it."""
    values = (bindparam(None, each, ARRAY(Text)) for each in arguments_of(search))
    return clause(shape_of(search), values)


def _term(word: str, values: Values, *, is_negated: bool) -> ColumnElement[bool]:
    fulfilled = CLAUSES[word](values)
    return not_(func.coalesce(fulfilled, false())) if is_negated else fulfilled


def _once(values: Values, kind: Any) -> ColumnElement[Any]:
    """Return an array as one of another type, which a statement makes once and not for each row."""
    return any_(cast(select(cast(values, ARRAY(kind))).scalar_subquery(), ARRAY(kind)))


def _has_vmid(values: Values) -> ColumnElement[bool]:
    value = func.unnest(values).column_valued("value")
    ranges = select(func.range_agg(cast(value, INT4RANGE))).scalar_subquery()
    return containers.c.vmid.op("<@")(ranges)


def _has_address(values: Values) -> ColumnElement[bool]:
    networks = _once(values, INET)
    device = func.jsonb_array_elements(containers.c.spec["networks"]).table_valued("value").alias("device")
    fixed = (_inet(cast(device.c.value, JSONB)[name].astext) for name in ("ip", "ip6"))
    in_config = exists(
        select(1).select_from(device).where(or_(*(each.op("<<=")(networks) for each in fixed)))
    )
    return or_(_inet(_ADDRESS).op("<<=")(networks), in_config)


def _inet(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an address without its prefix length; null if a text is none, like `dhcp`."""
    return case((func.pg_input_is_valid(text, "inet"), cast(func.host(cast(text, INET)), INET)))


def _contains(values: Values) -> ColumnElement[bool]:
    one = containers.c
    description = one.spec["description"].astext
    tags = func.translate(cast(one.tags, Text), ', []"', "\n\n")
    texts = one.hostname, one.template, tags, description, cast(one.vmid, Text), _ADDRESS
    value = func.unnest(values).column_valued("value")
    lower = select(func.array_agg(func.lower(value))).scalar_subquery()
    return func.lower(func.concat_ws("\n", *texts)).like(any_(cast(lower, ARRAY(Text))))


CLAUSES: Mapping[str, Callable[[Values], ColumnElement[bool]]] = MappingProxyType(
    {
        "tag": containers.c.tags.has_any,
        "node": lambda values: func.lower(containers.c.node) == any_(values),
        "cluster": lambda values: or_(clusters.c.name == any_(values), clusters.c.id == any_(values)),
        "status": lambda values: or_(
            containers.c.lifecycle == any_(values), containers.c.power == any_(values)
        ),
        "template": lambda values: containers.c.template == any_(values),
        "ip": _has_address,
        "vmid": _has_vmid,
        "name": lambda values: func.lower(containers.c.hostname).like(any_(values)),
        "warning": containers.c.warnings.has_any,
        TEXT: _contains,
    }
)
"""By word: what a container fulfils of which one of the values holds."""
