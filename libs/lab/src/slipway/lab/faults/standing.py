"""The faults that stand, and how the lab asks for them."""

import asyncio
import itertools
import operator
import time
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import reduce
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field, TypeAdapter

from slipway.lab import faults
from slipway.lab.faults.scope import CallFault, Fault, GuestFault, Point, TaskFault
from slipway.lab.problems import Refused

_KINDS: Any = reduce(
    operator.or_,
    [one for one in vars(faults).values() if isinstance(one, type) and one.__module__ == faults.__name__],
)
FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[_KINDS, Field(discriminator="kind")])

F = TypeVar("F", bound=Fault)
G = TypeVar("G", bound=GuestFault)
C = TypeVar("C", bound=CallFault)


class _Worker(Protocol):
    is_killed: bool

    def describe(self) -> tuple[str, str]: ...


class Faults:
    """The faults that stand, by the ids of their orders."""

    def __init__(self) -> None:
        self._orders: dict[str, Fault] = {}
        self._ordered_at: dict[str, float] = {}
        self._met: dict[str, int] = {}
        self._delivered: set[tuple[str, int, int]] = set()
        self._numbers = itertools.count(1)
        self._listeners: list[Callable[[Fault], None]] = []
        self._changed = asyncio.Event()

    def order(self, fault: Fault) -> str:
        """Order a fault; return the id for `clear` and `met`."""
        order = str(next(self._numbers))
        self._orders[order] = fault
        self._ordered_at[order] = time.monotonic()
        self._met[order] = 0
        for listener in self._listeners:
            listener(fault)
        self._wake()
        return order

    def clear(self, order: str | None = None) -> None:
        """Take back one order, or all."""
        for standing in [order] if order else list(self._orders):
            self._orders.pop(standing, None)
        self._wake()

    def standing(self) -> dict[str, Fault]:
        """Return the faults that may still happen, by id."""
        return dict(self._orders)

    def met(self, order: str) -> int:
        """Count how often an order has happened."""
        return self._met.get(order, 0)

    def listen(self, listener: Callable[[Fault], None]) -> None:
        """Call the listener with every fault as soon as it is ordered; for those that act now."""
        self._listeners.append(listener)

    async def changed(self) -> None:
        """Wait until a fault is ordered or cleared."""
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def take(self, kind: type[F], fits: Callable[[F], bool] = lambda _: True) -> F | None:
        """Return the first fault of a kind that fits, and count it as happened."""
        for order, fault in self._orders.items():
            if isinstance(fault, kind) and fits(fault):
                self._met[order] += 1
                if fault.times is not None and self._met[order] >= fault.times:
                    del self._orders[order]
                return fault
        return None

    def take_call(self, kind: type[C], method: str, path: str) -> C | None:
        """Return a fault of an API call, and count it."""
        return self.take(kind, lambda fault: fault.fits(method, path))

    def all(self, kind: type[F]) -> Iterator[F]:
        """Return the faults of a kind; asked often, so it does not count."""
        return (one for one in list(self._orders.values()) if isinstance(one, kind))

    def aged(self, kind: type[F]) -> Iterator[tuple[str, F, float]]:
        """Yield the faults of a kind with their ids and ages in seconds; it does not count."""
        now = time.monotonic()
        for order, one in self.standing().items():
            if isinstance(one, kind):
                yield order, one, now - self._ordered_at[order]

    def is_full(self, storage: str, at: str | None = None) -> bool:
        """Return whether a storage is full, and is noticed to be at a point; it does not count."""
        fulls = (one for one in self.all(faults.StorageFull) if at is None or at in one.at)
        return any(fnmatchcase(storage, one.storage) for one in fulls)

    def foreign_guests(self) -> dict[int, Mapping[str, Any]]:
        """Return the rows of other people's guests by VMID; it does not count."""
        rows = (row for order in self.all(faults.ForeignRows) for row in order.rows)
        return {row["vmid"]: row for row in rows if row.get("type") in ("qemu", "lxc") and "vmid" in row}

    def delivered(self, kind: type[G], vmid: int, birth: int) -> Iterator[tuple[G, float]]:
        """Yield each fault of a kind once for a guest, by number and birth, with its age in seconds."""
        for order, one, age in self.aged(kind):
            if one.is_about(vmid) and (order, vmid, birth) not in self._delivered:
                self._delivered.add((order, vmid, birth))
                self._met[order] += 1
                yield one, age

    def ha_managed(self, vmid: int) -> faults.HaManaged | None:
        """Return the order by which the HA manager looks after a guest; it does not count."""
        return next((one for one in self.all(faults.HaManaged) if one.vmid == vmid), None)

    def end_managing(self, vmid: int) -> None:
        """Take a guest from the HA manager."""
        for order, one in self.standing().items():
            if isinstance(one, faults.HaManaged) and one.vmid == vmid:
                self.clear(order)

    async def at_task(self, point: Point, work: _Worker) -> None:
        """Run into the faults of a task at a point of it: hang, be killed or fail."""
        kind, subject = work.describe()

        def fits(fault: TaskFault) -> bool:
            return fault.fits(point, kind, subject)

        if hangs := self.take(faults.TaskHangs, fits):
            await asyncio.sleep(10**9 if hangs.seconds is None else hangs.seconds)
        if self.take(faults.WorkerKilled, fits):
            work.is_killed = True
            raise asyncio.CancelledError
        if fails := self.take(faults.TaskFails, fits):
            raise Refused(fails.message)
