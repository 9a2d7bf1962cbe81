"""The orders that stand, and how the lab asks for them."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field, TypeAdapter

from slipway.lab.faults import calls, guests, nodes, tasks
from slipway.lab.faults.order import Order
from slipway.lab.problems import Refused

Fault = (
    calls.ApiError
    | calls.LostAnswer
    | calls.SlowAnswer
    | calls.ForeignRows
    | calls.ChangedRows
    | calls.TokenExpired
    | calls.RightsTaken
    | nodes.NodeOffline
    | nodes.NodeDies
    | nodes.NodeGone
    | nodes.NodeRenamed
    | nodes.ApiFrozen
    | nodes.SshFrozen
    | nodes.ClockOff
    | nodes.CertificateRenewed
    | nodes.StorageFull
    | tasks.VmidTaken
    | tasks.TaskFails
    | tasks.TaskHangs
    | tasks.WorkerKilled
    | tasks.Locked
    | tasks.ForeignTask
    | tasks.HaManaged
    | guests.SshDropped
    | guests.SshRefused
    | guests.CommandFails
    | guests.NeverReady
    | guests.NeverStops
    | guests.DnsFails
    | guests.AptLocked
)
FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="kind")])

F = TypeVar("F", bound=Order)
G = TypeVar("G", bound=guests.GuestOrder)
C = TypeVar("C", bound=calls.CallOrder)


class _Worker(Protocol):
    is_killed: bool

    def describe(self) -> tuple[str, str]: ...


class Faults:
    """The orders that stand."""

    def __init__(self) -> None:
        self._orders: dict[str, Fault] = {}
        self._given: dict[str, float] = {}
        self._met: dict[str, int] = {}
        self._delivered: set[tuple[str, int, int]] = set()
        self._numbers = itertools.count(1)
        self._listeners: list[Callable[[Fault], None]] = []
        self._changed = asyncio.Event()

    def order(self, fault: Fault) -> str:
        """Order a fault; the id is for `clear` and `met`."""
        order = str(next(self._numbers))
        self._orders[order] = fault
        self._given[order] = time.monotonic()
        self._met[order] = 0
        for listener in self._listeners:
            listener(fault)
        self._tell()
        return order

    def clear(self, order: str | None = None) -> None:
        """Take back one order, or all."""
        for known in [order] if order else list(self._orders):
            self._orders.pop(known, None)
        self._tell()

    def standing(self) -> dict[str, Fault]:
        """Give the orders that may still happen."""
        return dict(self._orders)

    def met(self, order: str) -> int:
        """Count how often an order has happened."""
        return self._met.get(order, 0)

    def listen(self, listener: Callable[[Fault], None]) -> None:
        """Be told of every order at once; for those that act now."""
        self._listeners.append(listener)

    async def changed(self) -> None:
        """Wait until an order is given or cleared."""
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def take(self, kind: type[F], fits: Callable[[F], bool] = lambda _: True) -> F | None:
        """Meet the first order of a kind that fits, and count it."""
        for order, fault in self._orders.items():
            if isinstance(fault, kind) and fits(fault):
                self._met[order] += 1
                if fault.times is not None and self._met[order] >= fault.times:
                    del self._orders[order]
                return fault
        return None

    def take_call(self, kind: type[C], method: str, path: str) -> C | None:
        """Meet an order on an API call."""
        return self.take(kind, lambda fault: fault.fits(method, path))

    def all(self, kind: type[F]) -> Iterator[F]:
        """Give the orders of a kind; asked often, so it does not count."""
        return (one for one in list(self._orders.values()) if isinstance(one, kind))

    def aged(self, kind: type[F]) -> Iterator[tuple[str, F, float]]:
        """Give the orders of a kind with their ids and ages in seconds; it does not count."""
        now = time.monotonic()
        for order, one in self.standing().items():
            if isinstance(one, kind):
                yield order, one, now - self._given[order]

    def is_full(self, storage: str, at: str | None = None) -> bool:
        """Whether a storage is to be full, and to be noticed so at a point; it does not count."""
        fulls = (one for one in self.all(nodes.StorageFull) if at is None or at in one.at)
        return any(fnmatchcase(storage, one.storage) for one in fulls)

    def foreign_guests(self) -> dict[int, Mapping[str, Any]]:
        """Give the rows of other people's guests by VMID; it does not count."""
        rows = (row for order in self.all(calls.ForeignRows) for row in order.rows)
        return {row["vmid"]: row for row in rows if row.get("type") in ("qemu", "lxc") and "vmid" in row}

    def delivered(self, kind: type[G], vmid: int, birth: int) -> Iterator[tuple[G, float]]:
        """Give each order of a kind once for a guest, by number and birth, with its age in seconds."""
        for order, one, age in self.aged(kind):
            if one.is_about(vmid) and (order, vmid, birth) not in self._delivered:
                self._delivered.add((order, vmid, birth))
                self._met[order] += 1
                yield one, age

    def ha_managed(self, vmid: int) -> tasks.HaManaged | None:
        """Give the order by which the HA manager looks after a guest; it does not count."""
        return next((one for one in self.all(tasks.HaManaged) if one.vmid == vmid), None)

    def is_ha_managed(self, vmid: int) -> bool:
        """Whether the HA manager looks after a guest; it does not count."""
        return self.ha_managed(vmid) is not None

    def end_managing(self, vmid: int) -> None:
        """Let the HA manager forget a guest."""
        for order, one in self.standing().items():
            if isinstance(one, tasks.HaManaged) and one.vmid == vmid:
                self.clear(order)

    async def at_task(self, point: tasks.Point, work: _Worker) -> None:
        """Let a task meet its orders at a point."""
        kind, subject = work.describe()

        def fits(fault: tasks.TaskOrder) -> bool:
            return fault.fits(point, kind, subject)

        if hangs := self.take(tasks.TaskHangs, fits):
            await asyncio.sleep(10**9 if hangs.seconds is None else hangs.seconds)
        if self.take(tasks.WorkerKilled, fits):
            work.is_killed = True
            raise asyncio.CancelledError
        if fails := self.take(tasks.TaskFails, fits):
            raise Refused(fails.message)
