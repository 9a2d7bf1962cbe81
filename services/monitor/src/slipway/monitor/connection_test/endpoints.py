"""Tries the endpoints of a cluster one by one: each has to lead to this very cluster.

One that was there before is not tried again, and one at the address of a node that is offline may be silent.
"""

import asyncio
from collections.abc import Iterable, Sequence
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

ANSWER = timedelta(seconds=4)
_CA = "ca:"


class EndpointUnusable(Invalid):
    """An endpoint of the cluster can't be used."""

    code = "cluster.endpoint-unusable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """The cluster as it was reached, by whichever of its endpoints."""

    access: ApiAccess
    """Believes all of its nodes."""
    members: Sequence[ClusterMember]
    identity: str | None


async def refuse_unusable(query: TestCluster, reached: Reached, *, record: Path | None) -> None:
    """Raise `EndpointUnusable` if an endpoint that was given does not lead there; names all that don't."""
    given = {"endpoint": query.spec.endpoint} if query.is_known else {}
    given |= {f"endpoints.{index}": each for index, each in enumerate(query.spec.endpoints)}
    given = {field: each for field, each in given.items() if each not in query.known_endpoints}
    ports = {urlsplit(each).port for each in query.known_endpoints or (query.spec.endpoint,)}
    away = {(each.ip, port) for each in reached.members if each.online is False for port in ports}
    found = await asyncio.gather(*(_fault(each, reached, record) for each in given.values()))
    faults = []
    for (field, endpoint), error in zip(given.items(), found, strict=True):
        place = urlsplit(endpoint)
        is_away = isinstance(error, NodeUnreachable) and (place.hostname, place.port) in away
        if error is not None and not is_away:
            faults.append(FieldError(field=field, message=error.message))
    if faults:
        raise EndpointUnusable(_told(faults), errors=faults)


async def _fault(endpoint: str, reached: Reached, record: Path | None) -> SlipwayError | None:
    """Say why an endpoint does not lead to the cluster; None if it does."""
    api = ProxmoxApi(reached.access.alone(endpoint), record=record, timeout=ANSWER)
    try:
        here = next(each.name for each in await api.cluster_status() if each.type == "node" and each.local)
        identity = (await certificates.read(api, here)).identity
    except SlipwayError as error:
        return error
    except StopIteration:
        return Invalid(f"What answers at {endpoint} does not say which node it is.")
    finally:
        await api.aclose()
    known = (identity or "", reached.identity or "")
    if identity != reached.identity and all(each.startswith(_CA) for each in known):
        return Invalid(f"Another cluster answers at {endpoint}: {identity}, not {reached.identity}.")
    return None


def _told(faults: Iterable[FieldError]) -> str:
    return " ".join(f"{each.field}: {each.message}" for each in faults)
