"""Batches: one job that many others belong to. What their items are, and the fact each change of one is.

A batch is a job of kind `batch` that inventory owns alone; each item is a job of its own, or the reason why
there is none.
"""

from typing import ClassVar

from slipway.contracts.message import Event, Id, Moment, Value
from slipway.contracts.problems import Problem
from slipway.contracts.values import JobState


class BatchItem(Value):
    """One item of a batch."""

    index: int
    """From 0; with it the item stays the same one, whatever becomes of it."""
    container: Id | None = None
    """None if there is no container with this VMID."""
    vmid: int
    hostname: str = ""
    job: Id | None = None
    """None if it was not accepted."""
    state: JobState
    error: Problem | None = None
    """Why it was not accepted, or how it failed; the whole log is its job's."""


class BatchCounts(Value):
    """How many items stand where."""

    total: int = 0
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class JobItem(Event):
    """An item of a batch was accepted, began or ended. Idempotent: the last one of an index counts."""

    subject: ClassVar[str] = "slipway.v1.event.job.{id}.item"
    id: Id
    """Of the batch."""
    index: int
    container: Id | None = None
    vmid: int
    hostname: str = ""
    job: Id | None = None
    state: JobState
    error: Problem | None = None
    percent: int
    """Of the batch: how many of its items have ended."""
    at: Moment
