"""What Proxmox answers about tasks, as frozen values; the rest is in `answers`."""

from pydantic import Field

from slipway.proxmox.fields import Answer, Moment, Whole
from slipway.proxmox.upid import Upid

EMPTY_LOG = "no content"
"""The line by which Proxmox shows a log that has none; the first real one will have its number."""


class Task(Answer):
    """A row of a node's task list."""

    upid: Upid
    """It names type, user, node and start of the task as well."""
    type: str = ""
    id: str = ""
    endtime: Moment | None = None
    status: str | None = None
    """The exit status once it has ended; `RUNNING` or nothing before."""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.endtime is None


class TaskStatus(Answer):
    """A task right now."""

    status: str
    """`running` or `stopped`."""
    exitstatus: str | None = None
    """`OK`, `WARNINGS: n`, `unexpected status`, or the error; only once stopped."""


class LogLine(Answer):
    """A line of a task's log."""

    number: Whole = Field(alias="n")
    """From 1."""
    text: str = Field(default="", alias="t")
