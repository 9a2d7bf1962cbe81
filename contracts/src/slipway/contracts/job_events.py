"""Job events: what happened to a job, in order, for anyone who follows it.

`accepted` is inventory's; all others are published by the provisioner in one atomic batch with the run record
that they follow from, so that state and log can't differ.
"""

from typing import ClassVar, Literal

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Event, Id, Moment, Value
from slipway.contracts.problems import Problem
from slipway.contracts.values import JobState, Phase


class JobAccepted(Event):
    """A job was accepted; beyond batches the only job fact of inventory's."""

    subject: ClassVar[str] = "slipway.v1.event.job.{id}.accepted"
    id: Id
    kind: JobKind
    container: Id | None = None
    """None, like the next two, for a job without one."""
    vmid: int | None = None
    hostname: str | None = None
    actor: str
    at: Moment


class JobPhase(Event):
    """A phase of a creation began or ended; `percent` never falls within a job."""

    subject: ClassVar[str] = "slipway.v1.event.job.{id}.phase"
    id: Id
    phase: Phase
    status: Literal["started", "finished"]
    percent: int
    at: Moment


class JobStep(Event):
    """A step began or ended."""

    subject: ClassVar[str] = "slipway.v1.event.job.{id}.step"
    id: Id
    phase: Phase | None = None
    step: str
    status: Literal["started", "finished", "failed", "skipped"]
    percent: int
    attempt: int = 1
    script: str | None = None
    index: int | None = None
    """Of the script, from 0."""
    total: int | None = None
    scripts: tuple[str, ...] = ()
    """On the first step of sync: all scripts in their order."""
    message: str | None = None
    seconds: float | None = None
    """How long it took, when it ended."""
    at: Moment


class LogLine(Value):
    """One line, or a part of one over 64 KiB."""

    stream: Literal["stdout", "stderr", "task"]
    """`task` is Proxmox's own task log. A script's two outputs are one, in the order of writing: `stdout`;
    `stderr` stands in logs of older builds only."""
    text: str
    more: bool = False
    """The next line of the same stream goes on where this one ends."""


class JobLog(Event):
    """Some lines, in their order. Idempotent: stored once by id job:step:offset."""

    subject: ClassVar[str] = "slipway.v1.event.job.{id}.log"
    id: Id
    phase: Phase | None = None
    step: str
    script: str | None = None
    index: int | None = None
    total: int | None = None
    lines: tuple[LogLine, ...]
    offset: int
    """Bytes (scripts) or lines (tasks) of the source at which this message ends."""
    logged_bytes: int = 0
    """How much of the job's log is stored up to here: a new owner of the run has the same bound."""
    is_unfinished: bool = False
    """Its one line has no end yet (a prompt, progress): the next line of the log takes its place."""


class JobProgress(Event):
    """Percent or words between two steps."""

    subject: ClassVar[str] = "slipway.v1.event.job.{id}.progress"
    id: Id
    phase: Phase | None = None
    percent: int
    message: str
    vmid: int | None = None
    """Set when the container got another VMID than the 202 said."""
    at: Moment


class JobDone(Event):
    """The end; in one atomic batch with the terminal record. That of a batch of jobs is inventory's."""

    subject: ClassVar[str] = "slipway.v1.event.job.{id}.done"
    id: Id
    state: JobState
    container: Id | None = None
    """None, like the next one, for a job without one."""
    vmid: int | None = None
    percent: int
    warnings: tuple[str, ...] = ()
    error: Problem | None = None
    at: Moment
