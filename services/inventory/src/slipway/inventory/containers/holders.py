"""Who holds a VMID, a name or an address of a cluster, as rows say it."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import Any

from sqlalchemy import Row, Text, and_, cast, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.form_facts import Holder
from slipway.contracts.message import Id
from slipway.contracts.values import Lifecycle
from slipway.inventory.tables import ACTIVE, containers, jobs

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """The holder of each; None is nobody."""

    vmid: Holder | None = None
    hostname: Holder | None = None
    address: Holder | None = None


async def find_holders(
    tx: AsyncConnection,
    cluster: Id,
    *,
    vmid: int | None,
    hostname: str | None,
    address: Address | None,
) -> Holders:
    """Return who holds these; None is not looked for."""
    lives = and_(containers.c.cluster_id == cluster, containers.c.lifecycle != Lifecycle.DELETED)
    name = hostname.lower() if hostname else None
    networks = containers.c.spec["networks"]
    # IPv6 addresses are written in several ways: all containers are compared here.
    needle = f'%"{address}%' if address and address.version == 4 else "%"  # noqa: PLR2004  the version
    sought = or_(
        containers.c.vmid == vmid if vmid is not None else false(),
        func.lower(containers.c.hostname) == name if name else false(),
        or_(containers.c.address == str(address), cast(networks, Text).like(needle)) if address else false(),
    )
    shown = (containers.c.id, containers.c.vmid, containers.c.hostname, containers.c.node)
    query = select(*shown, containers.c.address, networks.label("networks")).where(lives, sought)
    rows: Sequence[Any] = (await tx.execute(query)).all()
    holder = next((_holder(row) for row in rows if name and row.hostname.lower() == name), None)
    return Holders(
        vmid=next((_holder(row) for row in rows if row.vmid == vmid), None),
        hostname=holder or (await _renaming(tx, cluster, name) if name else None),
        address=next((_holder(row) for row in rows if address and address in _addresses(row)), None),
    )


def _holder(row: Row[Any]) -> Holder:
    return Holder(kind="container", id=row.id, vmid=row.vmid, name=row.hostname, node=row.node)


async def _renaming(tx: AsyncConnection, cluster: Id, name: str) -> Holder | None:
    """Return the job that is about to give a container a name."""
    query = select(jobs.c.id, jobs.c.new_hostname, jobs.c.node).where(
        jobs.c.cluster_id == cluster, jobs.c.state.in_(ACTIVE), func.lower(jobs.c.new_hostname) == name
    )
    row = (await tx.execute(query)).first()
    return Holder(kind="job", id=row.id, name=row.new_hostname, node=row.node) if row else None


def _addresses(row: Row[Any]) -> Iterator[Address]:
    """Yield what a container has, or will have: `dhcp` and the like are no addresses."""
    texts = [row.address, *(network.get(key) for network in row.networks or () for key in ("ip", "ip6"))]
    for text in texts:
        with contextlib.suppress(ValueError):
            yield ip_interface(text or "").ip
