"""A second try of a batch: a new batch of the items that failed or were cancelled."""

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.batches import BatchItem
from slipway.contracts.bulk import BatchAccepted, RetryBatch
from slipway.contracts.containers import JobRef
from slipway.contracts.jobs import JobArgs, RunJob
from slipway.contracts.problems import Rejected, Unavailable
from slipway.contracts.values import JobKind, JobState
from slipway.inventory.batching import BatchCommand, shortened
from slipway.inventory.store import audit
from slipway.inventory.store.batch_choice import Judge, begin_deletion, choices_of, command_of
from slipway.inventory.store.batch_items import items_of, open_batch
from slipway.inventory.store.claims import accepting, trying
from slipway.inventory.store.containers import ContainerNotFound
from slipway.inventory.store.intake import Intake
from slipway.inventory.store.jobs import job_row
from slipway.inventory.store.retrying import NotRetryable, second_try
from slipway.inventory.tables import containers
from slipway.runtime.call import Call
from slipway.runtime.database import Database
from slipway.runtime.ids import new_id

JudgeOf = Callable[[JobArgs], Judge]
AGAIN = (JobState.FAILED, JobState.CANCELLED)


class BatchRetries:
    """Takes second tries in."""

    def __init__(self, database: Database, intake: Intake) -> None:
        self._database = database
        self._intake = intake

    async def done_before(self, call: Call, request: RetryBatch) -> BatchAccepted | None:
        """Give the reply that the same request under the same key got."""
        async with self._database.begin() as connection:
            return await audit.replayed(connection, call, "batch.retry", request, BatchAccepted)

    async def retry(self, call: Call, request: RetryBatch, judge_of: JudgeOf) -> BatchAccepted:
        """Accept what did not succeed once more; an item that can't be becomes a failed one.

        Raises:
            NotRetryable: if the batch has not ended, or all of it succeeded.
        """
        async with accepting(self._database) as connection:
            old = await job_row(connection, request.job)
            if old.kind != JobKind.BATCH or old.state not in AGAIN:
                raise NotRetryable(f"Job {old.id} is {old.state}; only a failed or cancelled batch can.")
            wanted = BatchCommand.model_validate(old.command).model_copy(update={"cancel_requested": False})
            items = [each for each in await items_of(connection, old.id) if each.state in AGAIN]
            await _lock(connection, items)
            judge = judge_of(wanted.args)
            tried = [await _again(connection, item, wanted, judge) for item in items]
            batch = new_id()
            fresh = [_numbered(item, index, command) for index, (item, command) in enumerate(tried)]
            counts = await open_batch(connection, call, batch, wanted, fresh, retry_of=old.id)
            commands = [command for _, command in tried if command is not None]
            await self._intake.take_in_all(connection, call, commands, parent=batch)
            accepted = BatchAccepted(job=JobRef(id=batch), counts=counts)
            await audit.remember(connection, call, "batch.retry", request, accepted)
            return accepted


async def _lock(connection: AsyncConnection, items: Sequence[BatchItem]) -> None:
    """Lock the containers in one order, so that two batches never wait for each other."""
    ids = [each.container for each in items if each.container]
    one = containers.c
    await connection.execute(select(one.id).where(one.id.in_(ids)).order_by(one.id).with_for_update())


async def _again(
    connection: AsyncConnection, item: BatchItem, wanted: BatchCommand, judge: Judge
) -> tuple[BatchItem, RunJob | None]:
    """Give an item's new command, or the item with why there is none."""
    try:
        async with trying(connection, item.hostname):
            if item.job is not None:
                return item, await second_try(connection, item.job, None)
            return item, await _first(connection, item, wanted, judge)
    except (Rejected, Unavailable) as error:
        return item.model_copy(update={"error": shortened(error.to_problem())}), None


async def _first(connection: AsyncConnection, item: BatchItem, wanted: BatchCommand, judge: Judge) -> RunJob:
    """Give the command of an item that was never accepted."""
    if item.container is None:
        raise ContainerNotFound(f"There is no container with VMID {item.vmid}.")
    (choice,) = await choices_of(connection, [item.container], wanted.kind, judge, lock=True)
    if choice.row is None:
        raise choice.error or ContainerNotFound(f"There is no container {item.container!r}.")
    if wanted.kind is JobKind.DELETE:
        await begin_deletion(connection, [item.container])
    return command_of(choice.row, wanted)


def _numbered(item: BatchItem, index: int, command: RunJob | None) -> BatchItem:
    if command is None:
        return item.model_copy(update={"index": index, "job": None, "state": JobState.FAILED})
    changes = {"job": command.job, "state": JobState.QUEUED, "error": None, "vmid": command.target.vmid}
    return item.model_copy(update={"index": index, **changes})
