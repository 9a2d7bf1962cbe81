"""Specs and commands for tests of the lab's guests."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from slipway.lab.guests.protocol import Guests, GuestSpec, Network

READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command in a guest came to."""

    code: int
    output: str
    errors: str


def network(*, ip: str | None = "dhcp", bridge: str = "vmbr0", gw: str | None = None) -> Network:
    """Return the usual device."""
    return Network(name="eth0", bridge=bridge, hwaddr="BC:24:11:00:00:01", ip=ip, gw=gw, ip6=None, mtu=None)


def spec(
    template: Path,
    *,
    vmid: int = 100,
    unprivileged: bool = True,
    networks: tuple[Network, ...] | None = None,
    password: str | None = None,
) -> GuestSpec:
    """Return a small guest."""
    return GuestSpec(
        vmid=vmid,
        hostname=f"ct{vmid}",
        template=template,
        unprivileged=unprivileged,
        cores=1,
        memory_mib=256,
        swap_mib=0,
        networks=(network(),) if networks is None else networks,
        nameserver=None,
        searchdomain=None,
        timezone=None,
        password=password,
        ssh_public_keys=None,
        environment={"LAB_TEST": "yes"},
    )


async def run(guests: Guests, vmid: int, *argv: str, stdin: bytes = b"") -> Ran:
    """Run a command to its end."""
    process = await guests.execute(vmid, argv)
    await process.write(stdin)
    await process.close_stdin()
    output, errors = await asyncio.gather(_all(process.stdout()), _all(process.stderr()))
    return Ran(code=await process.wait(), output=output, errors=errors)


async def script(guests: Guests, vmid: int, text: str) -> Ran:
    """Run a shell script to its end."""
    return await run(guests, vmid, "sh", "-c", text)


async def wait_until_ready(guests: Guests, vmid: int) -> str:
    """Wait until systemd says that it has booted; give what it says."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        state = (await run(guests, vmid, "systemctl", "is-system-running")).output.strip()
        if state in {"running", "degraded"}:
            return state
        await asyncio.sleep(0.05)
    raise TimeoutError(f"guest {vmid} was not ready within {READY_SECONDS} s")


async def _all(chunks: AsyncIterator[bytes]) -> str:
    return b"".join([chunk async for chunk in chunks]).decode()
