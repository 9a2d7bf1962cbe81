"""The living containers that a selection means: rows that may fit are read, `selection` decides."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.bulk import MOST_ITEMS
from slipway.contracts.message import Id
from slipway.contracts.values import Lifecycle
from slipway.inventory.containers.selection import Candidate, Part, Term, chosen, missing, parse, refused
from slipway.inventory.jobs.queue import ACTIVE
from slipway.inventory.tables import clusters, containers, jobs


async def look(tx: AsyncConnection, selection: str) -> tuple[tuple[Candidate, ...], tuple[int, ...]]:
    """Give the living containers that a selection means, and the VMIDs in it that nothing has.

    Raises:
        SelectionInvalid: if it can't be read, means nothing, or too much.
    """
    parts = parse(selection)
    found = chosen(parts, await _candidates(tx, parts))
    if not found:
        raise refused("No container fits it; `slipway containers` shows which there are.")
    if len(found) > MOST_ITEMS:
        raise refused(f"{len(found)} containers fit it; {MOST_ITEMS} are the most in one batch.")
    return found, missing(parts, found)


async def jobs_of(tx: AsyncConnection, selection: str) -> Sequence[Id]:
    """Return the jobs that work on what a selection means, as far as the rows know."""
    selected, _ = await look(tx, selection)
    own = jobs.c.container_id.in_([each.id for each in selected])
    return (await tx.scalars(select(jobs.c.id).where(own, jobs.c.state.in_(ACTIVE)))).all()


async def _candidates(tx: AsyncConnection, parts: Sequence[Part]) -> list[Candidate]:
    one = containers.c
    columns = (one.id, one.vmid, one.hostname, clusters.c.name, one.node, one.template)
    wanted = select(*columns, one.spec["tags"].label("tags")).join(clusters)
    may_fit = or_(*(and_(*(_may_fit(term) for term in part)) for part in parts))
    rows = await tx.execute(wanted.where(one.lifecycle != Lifecycle.DELETED, may_fit))
    return [
        Candidate(
            id=row.id,
            vmid=row.vmid,
            hostname=row.hostname,
            cluster=row.name,
            node=row.node,
            template=row.template,
            tags=frozenset(row.tags or ()),
        )
        for row in rows
    ]


def _may_fit(term: Term) -> ColumnElement[bool]:
    """Give what holds of all rows that a term means; more rows may come."""
    match term.word:
        case "vmid":
            return containers.c.vmid.between(term.first, term.last)
        case "node":
            return containers.c.node == term.value
        case "cluster":
            return clusters.c.name == term.value
        case "template":
            return containers.c.template == term.value
        case "tag":
            return containers.c.spec["tags"].contains([term.value])
        case _:
            return true()
