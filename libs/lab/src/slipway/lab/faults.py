"""What can go wrong on purpose: faults that a test orders, in this process or over HTTP from another.

Theory of operation. An order stays until it was met as often as its `times` says (None: until cleared). The
node asks at the places where the real one breaks: before and after an API call, at the begin, in the middle
and at the end of a task, when a command runs over SSH. Guarantee: orders are met in the order they were
given, and one request or task meets at most one order of each kind. Nothing here breaks by itself.
"""

import asyncio
import itertools
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from slipway.lab.problems import Refused

Point = Literal["begin", "middle", "end"]


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    times: int | None = 1
    """How often it happens; None until cleared."""


class _ApiOrder(_Order):
    method: str = "*"
    """`POST`, or `*` for any."""
    path: str = "*"
    """Below `/api2/json`, with `*` as wildcard: `/nodes/*/lxc`."""


class ApiError(_ApiOrder):
    """Answer with an error instead of acting; 595 and 596 have no body, as pveproxy's own."""

    kind: Literal["api-error"] = "api-error"
    status: int = 500
    message: str = "got no worker upid - start worker failed"


class LostAnswer(_ApiOrder):
    """Act, then drop the connection without an answer."""

    kind: Literal["lost-answer"] = "lost-answer"


class SlowAnswer(_ApiOrder):
    """Act, then answer late."""

    kind: Literal["slow-answer"] = "slow-answer"
    seconds: float


class VmidTaken(_Order):
    """Let someone else create a container with that VMID just before ours is created."""

    kind: Literal["vmid-taken"] = "vmid-taken"
    vmid: int | None = None


class StorageFull(_Order):
    """Show a storage as full; what allocates there fails in its task."""

    kind: Literal["storage-full"] = "storage-full"
    storage: str = "*"
    times: int | None = None


class _TaskOrder(_Order):
    task: str = "*"
    """`vzcreate`, `vzstart`, ..."""
    vmid: int | None = None
    at: Point = "middle"
    """`middle` is where a creation has its disk and unpacks, and others hold the container's lock."""


class TaskFails(_TaskOrder):
    """End a task with an error."""

    kind: Literal["task-fails"] = "task-fails"
    message: str = "command failed: exit code 1"


class TaskHangs(_TaskOrder):
    """Hold a task up, for a while or until it is stopped."""

    kind: Literal["task-hangs"] = "task-hangs"
    seconds: float | None = None


class WorkerKilled(_TaskOrder):
    """Kill a task's worker: `unexpected status`, nothing cleaned up, a creation leaves a locked zombie."""

    kind: Literal["worker-killed"] = "worker-killed"


class _CommandOrder(_Order):
    match: str = ""
    """Part of the command line; empty for any."""


class SshDropped(_CommandOrder):
    """Cut a connection after so many bytes of a command's output, or every connection at once."""

    kind: Literal["ssh-dropped"] = "ssh-dropped"
    after_bytes: int = 0
    now: bool = False


class SshRefused(_Order):
    """Close new connections before the login."""

    kind: Literal["ssh-refused"] = "ssh-refused"


class CommandFails(_CommandOrder):
    """Let a `pct exec` command die after so many lines of output."""

    kind: Literal["command-fails"] = "command-fails"
    after_lines: int = 0
    exit_code: int = 1


class NeverReady(_Order):
    """Let a guest's `systemctl is-system-running` say `starting` for ever."""

    kind: Literal["never-ready"] = "never-ready"
    vmid: int | None = None
    times: int | None = None


class NeverStops(_Order):
    """Let a guest ignore a shutdown; a stop still works."""

    kind: Literal["never-stops"] = "never-stops"
    vmid: int | None = None
    times: int | None = None


class HaManaged(_Order):
    """Let the HA manager look after a guest, until it is removed; no fault, but nothing else can order it."""

    kind: Literal["ha-managed"] = "ha-managed"
    vmid: int
    times: int | None = None


class NodeOffline(_Order):
    """Let a node be away for its cluster until it is cleared; not the one whose API is asked."""

    kind: Literal["node-offline"] = "node-offline"
    node: str
    times: int | None = None


Fault = (
    ApiError
    | LostAnswer
    | SlowAnswer
    | VmidTaken
    | StorageFull
    | TaskFails
    | TaskHangs
    | WorkerKilled
    | SshDropped
    | SshRefused
    | CommandFails
    | NeverReady
    | NeverStops
    | HaManaged
    | NodeOffline
)
FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="kind")])

F = TypeVar("F", bound=_Order)


class _Worker(Protocol):
    is_killed: bool

    def describe(self) -> tuple[str, str]: ...


class Faults:
    """The orders that stand."""

    def __init__(self) -> None:
        self._orders: dict[str, Fault] = {}
        self._met: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._listeners: list[Callable[[Fault], None]] = []

    def order(self, fault: Fault) -> str:
        """Order a fault; the id is for `clear` and `met`."""
        order = str(next(self._numbers))
        self._orders[order] = fault
        self._met[order] = 0
        for listener in self._listeners:
            listener(fault)
        return order

    def clear(self, order: str | None = None) -> None:
        """Take back one order, or all."""
        for known in [order] if order else list(self._orders):
            self._orders.pop(known, None)

    def standing(self) -> dict[str, Fault]:
        """Give the orders that may still happen."""
        return dict(self._orders)

    def met(self, order: str) -> int:
        """Count how often an order has happened."""
        return self._met.get(order, 0)

    def listen(self, listener: Callable[[Fault], None]) -> None:
        """Be told of every order at once; for those that act now."""
        self._listeners.append(listener)

    def take(self, kind: type[F], fits: Callable[[F], bool] = lambda _: True) -> F | None:
        """Meet the first order of a kind that fits, and count it."""
        for order, fault in self._orders.items():
            if isinstance(fault, kind) and fits(fault):
                self._met[order] += 1
                if fault.times is not None and self._met[order] >= fault.times:
                    del self._orders[order]
                return fault
        return None

    def take_call(self, kind: type[F], method: str, path: str) -> F | None:
        """Meet an order on an API call."""

        def fits(fault: F) -> bool:
            if not isinstance(fault, _ApiOrder):
                return False
            return fault.method in ("*", method) and fnmatchcase(path, fault.path)

        return self.take(kind, fits)

    def is_full(self, storage: str) -> bool:
        """Whether a storage is to be full; asked often, so it does not count."""
        fulls = (one for one in self._orders.values() if isinstance(one, StorageFull))
        return any(fnmatchcase(storage, one.storage) for one in fulls)

    def is_ha_managed(self, vmid: int) -> bool:
        """Whether the HA manager looks after a guest; asked often, so it does not count."""
        return any(isinstance(one, HaManaged) and one.vmid == vmid for one in self._orders.values())

    def is_offline(self, node: str) -> bool:
        """Whether a node is to be away; asked often, so it does not count."""
        return any(isinstance(one, NodeOffline) and one.node == node for one in self._orders.values())

    def end_managing(self, vmid: int) -> None:
        """Let the HA manager forget a guest."""
        for order, one in self.standing().items():
            if isinstance(one, HaManaged) and one.vmid == vmid:
                self.clear(order)

    async def at_task(self, point: Point, work: _Worker) -> None:
        """Let a task meet its orders at a point."""
        kind, subject = work.describe()

        def fits(fault: _TaskOrder) -> bool:
            is_mine = fault.vmid is None or str(fault.vmid) == subject
            return fault.at == point and is_mine and fnmatchcase(kind, fault.task)

        if hangs := self.take(TaskHangs, fits):
            await asyncio.sleep(10**9 if hangs.seconds is None else hangs.seconds)
        if self.take(WorkerKilled, fits):
            work.is_killed = True
            raise asyncio.CancelledError
        if fails := self.take(TaskFails, fits):
            raise Refused(fails.message)
