"""What Proxmox answers about tasks, as frozen values; the rest is in `answers`."""

from pydantic import Field

from slipway.proxmox.answers import Answer, Moment
from slipway.proxmox.upid import Upid


class Task(Answer):
    """A row of a node's task list."""

    upid: Upid
    type: str
    id: str = ""
    user: str
    node: str
    starttime: Moment
    endtime: Moment | None = None
    status: str | None = None
    """The exit status once it has ended; `RUNNING` or nothing before."""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.endtime is None


class TaskStatus(Answer):
    """A task right now."""

    upid: Upid
    status: str
    """`running` or `stopped`."""
    exitstatus: str | None = None
    """`OK`, `WARNINGS: n`, `unexpected status`, or the error; only once stopped."""
    type: str
    id: str = ""
    user: str
    node: str
    starttime: Moment


class LogLine(Answer):
    """A line of a task's log."""

    number: int = Field(alias="n")
    """From 1."""
    text: str = Field(alias="t")


class TaskLog(Answer):
    """A part of a task's log, in order, and how many lines there are by now."""

    lines: tuple[LogLine, ...]
    total: int
