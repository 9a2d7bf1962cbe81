"""Orders about tasks and containers: what ends, hangs or locks them, and what others do with them."""

from fnmatch import fnmatchcase
from typing import Literal

from slipway.lab.faults.order import Order, State

Point = Literal["begin", "middle", "end"]


class VmidTaken(Order):
    """Let someone else create a container with that VMID just before ours is created."""

    kind: Literal["vmid-taken"] = "vmid-taken"
    vmid: int | None = None


class TaskOrder(Order):
    """An order about a task."""

    task: str = "*"
    """`vzcreate`, `vzstart`, ..."""
    vmid: int | None = None
    at: Point = "middle"
    """`middle` is where a creation has its disk and unpacks, and others hold the container's lock."""

    def fits(self, point: Point, kind: str, subject: str) -> bool:
        """Whether a task is meant, at a point of it."""
        is_mine = self.vmid is None or str(self.vmid) == subject
        return self.at == point and is_mine and fnmatchcase(kind, self.task)


class TaskFails(TaskOrder):
    """End a task with an error."""

    kind: Literal["task-fails"] = "task-fails"
    message: str = "command failed: exit code 1"


class TaskHangs(TaskOrder):
    """Hold a task up, for a while or until it is stopped."""

    kind: Literal["task-hangs"] = "task-hangs"
    seconds: float | None = None


class WorkerKilled(TaskOrder):
    """Kill a task's worker: `unexpected status`, nothing cleaned up, a creation leaves a locked zombie."""

    kind: Literal["worker-killed"] = "worker-killed"


class Locked(Order):
    """Lock a container's config now, as something that was killed leaves it, or for a while."""

    kind: Literal["locked"] = "locked"
    vmid: int
    lock: str = "backup"
    seconds: float | None = None
    """After which it is unlocked; None: left over, only `pct unlock` helps."""


class ForeignTask(Order):
    """Let someone else run a task now: the nightly backup, which locks the container for a while."""

    kind: Literal["foreign-task"] = "foreign-task"
    vmid: int
    task: str = "vzdump"
    lock: str | None = "backup"
    user: str = "root@pam"
    is_of_many: bool = False
    """Whether the task names no VMID, as a backup job of several guests."""
    seconds: float | None = None
    """How long it runs; None: until it is stopped."""


class HaManaged(State):
    """Let the HA manager look after a guest, until it is removed; no fault, but nothing else can order it."""

    kind: Literal["ha-managed"] = "ha-managed"
    vmid: int
    state: str | None = None
    """What the manager says: `error`, `fence`, `disabled`; None as the guest is: `started`, `stopped`."""
