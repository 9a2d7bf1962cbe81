"""What is ordered of a guest's apt, written where the simulated apt-get looks for it.

A guest learns of it before its next command. Real guests have a real apt, which does not look there.
"""

import time

from slipway.lab.faults import AptLocked, DnsFails
from slipway.lab.host.machine import Machine

FOLDER = "/var/lib/lab/apt"
_WRITE = f'mkdir -p {FOLDER} && echo "$2" > {FOLDER}/"$1"'


async def prepare(machine: Machine, vmid: int) -> None:
    """Write down for a guest the faults of its apt that it does not have yet."""
    birth = machine.birth(vmid)
    for dns, _ in machine.faults.delivered(DnsFails, vmid, birth):
        await _write(machine, vmid, "dns-fails", dns.attempts)
    for lock, age in machine.faults.delivered(AptLocked, vmid, birth):
        await _write(machine, vmid, f"{lock.lock}-locked-until", int(time.time() + lock.seconds - age))


async def _write(machine: Machine, vmid: int, name: str, value: int) -> None:
    process = await machine.guests.execute(vmid, ["sh", "-c", _WRITE, "sh", name, str(value)])
    async for _ in process.stdout():
        pass
    await process.wait()
