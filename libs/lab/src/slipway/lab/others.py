"""What other users do as soon as a fault orders it: lock a container, run a task, renew a certificate.

Whatever they began ends with the lab.
"""

import asyncio
import contextlib
from collections.abc import Callable

from slipway.lab.faults import CertificateRenewed, ForeignTask, Locked
from slipway.lab.faults.scope import Fault
from slipway.lab.faults.standing import Faults
from slipway.lab.host import locks
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Work
from slipway.lab.problems import Refused

FOREVER = 10.0**9


class Others:
    """The other users of the cluster."""

    def __init__(
        self, machines: list[Machine], faults: Faults, renew: Callable[[Machine, CertificateRenewed], None]
    ) -> None:
        self._machines = machines
        self._faults = faults
        self._renew = renew
        self._unlocking: set[asyncio.Task[None]] = set()
        faults.listen(self._obey)

    async def stop(self) -> None:
        """Cancel what was to be done later."""
        for task in self._unlocking:
            task.cancel()
        await asyncio.gather(*self._unlocking, return_exceptions=True)

    def _obey(self, fault: Fault) -> None:
        match fault:
            case Locked():
                self._faults.take(Locked)
                self._lock(fault)
            case ForeignTask():
                self._faults.take(ForeignTask)
                self._run(fault)
            case CertificateRenewed():
                self._faults.take(CertificateRenewed)
                for machine in self._machines:
                    if fault.is_about(machine.condition.first_name):
                        self._renew(machine, fault)

    def _home(self, vmid: int) -> Machine:
        for machine in self._machines:
            if vmid in machine.configs:
                return machine
        raise Refused(f"the lab has no container {vmid}", status=400)

    def _lock(self, order: Locked) -> None:
        home = self._home(order.vmid)
        home.configs.put(order.vmid, home.configs.get(order.vmid) | {"lock": order.lock})
        if order.seconds is not None:
            task = asyncio.create_task(_unlock(home, order, order.seconds))
            self._unlocking.add(task)
            task.add_done_callback(self._unlocking.discard)

    def _run(self, order: ForeignTask) -> None:
        home = self._home(order.vmid)

        async def body(work: Work) -> None:
            work.log(f"INFO: starting new backup job: vzdump {order.vmid} --quiet 1 --mode snapshot")
            work.log(f"INFO: Starting Backup of VM {order.vmid} (lxc)")
            async with contextlib.AsyncExitStack() as stack:
                if order.task == "vzdump":
                    await stack.enter_async_context(home.backups)
                if order.lock is not None:
                    await stack.enter_async_context(locks.holding(home, order.vmid, order.lock, work))
                await asyncio.sleep(FOREVER if order.seconds is None else order.seconds)

        home.tasks.start(order.task, "" if order.is_of_many else str(order.vmid), order.user, body)


async def _unlock(home: Machine, order: Locked, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await locks.release(home, order.vmid, order.lock)
