"""Test the endpoints of a cluster one by one: each must lead to this cluster.

Known endpoints are not tested again, and one at the address of an offline node may be silent.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from slipway.contracts.clusters import TestCluster
from slipway.contracts.problems import FieldError, Invalid, SlipwayError
from slipway.monitor.facts import certificates
from slipway.proxmox.access import ApiAccess
from slipway.proxmox.answers import ClusterMember
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import NodeUnreachable

ANSWER_TIMEOUT = timedelta(seconds=4)
_CA = "ca:"


class EndpointUnusable(Invalid):
    """An endpoint of the cluster can't be used."""

    code = "cluster.endpoint-unusable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedCluster:
    """The cluster as one of its endpoints has shown it."""

    access: ApiAccess
    """Trusts the certificates of all its nodes."""
    members: Sequence[ClusterMember]
    identity: str | None


async def refuse_unusable(query: TestCluster, reached: ReachedCluster, *, record: Path | None) -> None:
    """Raise `EndpointUnusable` with all endpoints of the request that do not lead to the cluster."""
    tested = {"endpoint": query.spec.endpoint} if query.is_known else {}
    tested |= {f"endpoints.{index}": each for index, each in enumerate(query.spec.endpoints)}
    tested = {field: each for field, each in tested.items() if each not in query.known_endpoints}
    ports = {urlsplit(each).port for each in query.known_endpoints or (query.spec.endpoint,)}
    away = {(each.ip, port) for each in reached.members if each.online is False for port in ports}
    errors = await asyncio.gather(*(_fault(each, reached, record) for each in tested.values()))
    faults = []
    for (field, endpoint), error in zip(tested.items(), errors, strict=True):
        url = urlsplit(endpoint)
        is_away = isinstance(error, NodeUnreachable) and (url.hostname, url.port) in away
        if error is not None and not is_away:
            faults.append(FieldError(field=field, message=error.message))
    if faults:
        message = " ".join(f"{each.field}: {each.message}" for each in faults)
        raise EndpointUnusable(message, errors=faults)


async def _fault(endpoint: str, reached: ReachedCluster, record: Path | None) -> SlipwayError | None:
    """Return the reason why an endpoint does not lead to the cluster; None if it does."""
    api = ProxmoxApi(reached.access.alone(endpoint), record=record, timeout=ANSWER_TIMEOUT)
    try:
        here = next(each.name for each in await api.cluster_status() if each.type == "node" and each.local)
        identity = (await certificates.read(api, here)).identity
    except SlipwayError as error:
        return error
    except StopIteration:
        return Invalid(f"What answers at {endpoint} does not say which node it is.")
    finally:
        await api.aclose()
    both = (identity or "", reached.identity or "")
    if identity != reached.identity and all(each.startswith(_CA) for each in both):
        return Invalid(f"Another cluster answers at {endpoint}: {identity}, not {reached.identity}.")
    return None
