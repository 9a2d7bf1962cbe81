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
AS_TEXT = ("spec", "pending", "services", "warnings")
"""Columns that hold JSON."""
_BESIDE = frozenset({"cluster", "job", "credentials", "version"})
_SERVICES = TypeAdapter(tuple[DiscoveredService, ...])


def own_part(row: Record) -> bytes:
    """Return the JSON of what stands in a container's own row, up to where `container_document` goes on.

    Args:
        row: with the columns of `listing.READ` or `listing.SUMMARY`.
    """
    values = {name: value for name, value in row.items() if name not in _BESIDE}
    stored = {name: values.pop(name) for name in AS_TEXT if name in values}
    if not values.pop("is_complete", True):
        stored["spec"] = ContainerSpec.model_validate_json(stored["spec"]).model_dump_json()
    if values["lifecycle"] == Lifecycle.DELETED:
        values["power"] = Power.UNKNOWN
    if values["power"] != Power.RUNNING and values["lifecycle"] != Lifecycle.CREATING:
        values["address"] = None
        stored["services"] = _off(stored["services"], values["power"])
    texts = "".join([f',"{name}":{text}' for name, text in stored.items()])
    return to_json(values)[:-1] + texts.encode()


def container_document(
    row: Record, own: bytes | None = None, *, looked_at: Moment | None = None, outage: Outage | None = None
) -> bytes:
    """Return a container's JSON.

    Args:
        row: with what stands beside the container's own row: `cluster`, `job`, `credentials` unless left out.
        own: what stands in its own row, by `own_part`; without it the row has that too.
        looked_at: when it was last seen on its host.
        outage: why it can't be looked at now.
    """
    beside = to_json({"cluster": row["cluster"], "job": row["job"], "looked_at": looked_at, "outage": outage})
    credentials = row.get("credentials")
    text = b"" if credentials is None else b',"credentials":%s' % credentials.encode()
    return b"%s,%s%s}" % (own_part(row) if own is None else own, beside[1:-1], text)


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
