"""A container as the JSON of an answer, from its row: what PostgreSQL stores as JSON goes into it as text.

A list has thousands of values, and a model of each would cost several times what all the rest does. What
`Container` says holds for these documents too: each can be read as one, field by field.
"""

from collections.abc import Iterable

from pydantic import TypeAdapter
from pydantic_core import to_json

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import DiscoveredService
from slipway.contracts.message import Moment
from slipway.contracts.values import Lifecycle, Outage, Power
from slipway.runtime.database.engine import Record

SPEC_FIELDS = tuple(ContainerSpec.model_fields)
"""A row is complete if its spec has them all; one of an older build may lack some."""
AS_TEXT = ("spec", "pending", "services", "credentials", "warnings")
"""Columns that hold JSON."""
_SERVICES = TypeAdapter(tuple[DiscoveredService, ...])


def container_document(
    row: Record, *, looked_at: Moment | None = None, outage: Outage | None = None
) -> bytes:
    """Return a container's JSON.

    Args:
        row: with the columns of `listing.READ`.
        looked_at: when it was last seen on its host.
        outage: why it can't be looked at now.
    """
    values = dict(row.items())
    stored = {name: values.pop(name) for name in AS_TEXT}
    if not values.pop("is_complete"):
        stored["spec"] = ContainerSpec.model_validate_json(stored["spec"]).model_dump_json()
    values |= {"looked_at": looked_at, "outage": outage}
    if values["lifecycle"] == Lifecycle.DELETED:
        values["power"] = Power.UNKNOWN
    if values["power"] != Power.RUNNING and values["lifecycle"] != Lifecycle.CREATING:
        values["address"] = None
        stored["services"] = _off(stored["services"], values["power"])
    texts = "".join([f',"{name}":{text}' for name, text in stored.items()])
    return b"%s%s}" % (to_json(values)[:-1], texts.encode())


def page_document(items: Iterable[bytes], following: str | None) -> bytes:
    """Return the JSON of a page of documents, and of where to go on."""
    return b'{"items":[%s],"next":%s}' % (b",".join(items), to_json(following))


def _off(services: str, power: str) -> str:
    """Return the services of a container that is stopped, deleted or not on its host: it has no links."""
    if services == "[]":
        return services
    off = {"status": "stopped" if power == Power.STOPPED else "unknown", "url": None}
    off_services = tuple(each.model_copy(update=off) for each in _SERVICES.validate_json(services))
    return _SERVICES.dump_json(off_services).decode()
