"""A container as the JSON of an answer, from its row: what PostgreSQL stores as JSON goes into it as text.

A list has thousands of values, and a model of each would cost several times what all the rest does. What
`Container` says holds for these documents too: each can be read as one, field by field.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import DiscoveredService
from slipway.contracts.message import Moment
from slipway.contracts.values import Lifecycle, Outage, Power

SPEC_FIELDS = tuple(ContainerSpec.model_fields)
"""A row is complete if its spec has them all; one of an older build may lack some."""
_SERVICES = TypeAdapter(tuple[DiscoveredService, ...])


def container_document(row: Any, *, looked_at: Moment | None = None, outage: Outage | None = None) -> bytes:
    """Return a container's JSON.

    Args:
        row: with the columns of `store.READ`.
        looked_at: when it was last seen on its host.
        outage: why it can't be looked at now.
    """
    power = row.power if row.lifecycle != Lifecycle.DELETED else Power.UNKNOWN
    is_reachable = power == Power.RUNNING or row.lifecycle == Lifecycle.CREATING
    head = {
        "id": row.id,
        "vmid": row.vmid,
        "hostname": row.hostname,
        "cluster": row.cluster,
        "cluster_id": row.cluster_id,
        "node": row.node,
        "template": row.template,
        "template_version": row.template_version,
        "lifecycle": row.lifecycle,
        "power": power,
        "observed_at": row.observed_at,
        "looked_at": looked_at,
        "outage": outage,
        "address": row.address if is_reachable else None,
    }
    tail = {
        "job": row.job,
        "is_forgotten": row.is_forgotten,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
    spec = row.spec if row.is_complete else ContainerSpec.model_validate_json(row.spec).model_dump_json()
    services = row.services if is_reachable or row.services == "[]" else _off(row.services, power)
    stored = (
        f',"spec":{spec},"pending":{row.pending},"services":{services},"credentials":{row.credentials},'
        f'"warnings":{row.warnings},'
    )
    return to_json(head)[:-1] + stored.encode() + to_json(tail)[1:]


def page_document(items: Iterable[bytes], following: str | None) -> bytes:
    """Return the JSON of a page of documents, and of where to go on."""
    return b'{"items":[%s],"next":%s}' % (b",".join(items), to_json(following))


def _off(services: str, power: str) -> str:
    """Return the services of a container that is stopped, deleted or not on its host: it has no links."""
    off = {"status": "stopped" if power == Power.STOPPED else "unknown", "url": None}
    off_services = tuple(each.model_copy(update=off) for each in _SERVICES.validate_json(services))
    return _SERVICES.dump_json(off_services).decode()
