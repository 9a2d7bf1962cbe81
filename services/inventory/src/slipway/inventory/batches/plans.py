"""Plans of batches that were shown: remembered, and held against what is asked for later."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.bulk import BatchPlan, PlanItem
from slipway.contracts.job_kinds import Args, JobKind
from slipway.contracts.jobs import RunJob
from slipway.inventory.batches import rules
from slipway.inventory.clusters.store import seen_of
from slipway.inventory.jobs import capacity
from slipway.inventory.tables import batch_plans
from slipway.runtime.process.clock import now

SHOWN_FOR = timedelta(days=1)
"""How long it can be told what changed since a plan was shown; its hash is good for ever."""


async def show(
    connection: AsyncConnection,
    kind: JobKind,
    args: Args,
    items: Sequence[PlanItem],
    commands: Sequence[RunJob],
) -> BatchPlan:
    """Give the plan, and remember that it was shown; `commands` are those of the items that can be done."""
    hashed = rules.hash_of(kind, args, items)
    shown = {"items": rules.identities(items), "shown_at": now()}
    await connection.execute(delete(batch_plans).where(batch_plans.c.shown_at < now() - SHOWN_FOR))
    await connection.execute(
        upsert(batch_plans)
        .values(hash=hashed, **shown)
        .on_conflict_do_update(index_elements=["hash"], set_=shown)
    )
    seen = await seen_of(connection, {each.target.cluster for each in commands})
    return BatchPlan(
        kind=kind,
        hash=hashed,
        items=tuple(items),
        destroys=rules.destroys(kind, args, items),
        warnings=capacity.warnings(commands, {cluster: each.nodes for cluster, each in seen.items()}),
    )


async def refuse_unshown(
    connection: AsyncConnection,
    kind: JobKind,
    args: Args,
    items: Sequence[PlanItem],
    *,
    given: str | None,
) -> None:
    """Refuse what was not shown, or shown otherwise.

    Raises:
        PlanNeeded: if the kind destroys and no plan's hash (`given`) came with the request.
        PlanChanged: if what it means now is something else than what was shown.
    """
    known = select(batch_plans.c["items"]).where(batch_plans.c.hash == given)
    shown = await connection.scalar(known) if given else None
    rules.refuse_unshown(kind, given, rules.hash_of(kind, args, items), shown, items)
