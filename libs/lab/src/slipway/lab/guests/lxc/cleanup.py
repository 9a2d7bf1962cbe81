"""Removing what a lab leaves while it runs, by names alone: so it works after the lab was killed, too."""

import asyncio
import contextlib
import shutil
from pathlib import Path

from slipway.lab.guests import commands
from slipway.lab.guests.claim import claim
from slipway.lab.guests.lxc import layers, network
from slipway.lab.guests.lxc.place import RUN, Place, place

STOP_SECONDS = 20.0


async def leftovers(found: Place) -> None:
    """Stop the lab's guests side by side, then remove its mounts, bridge and NAT; disks are stored."""
    names = [folder.name for folder in found.lxcpath.glob("slab-*")]
    await asyncio.gather(*(_kill(found, name) for name in names))
    for root in (found.run / "roots").glob("*"):
        await layers.unmount(root)
    for folder in found.folders():
        await asyncio.to_thread(layers.gather, folder)
    await network.down(found)
    await asyncio.to_thread(shutil.rmtree, found.run, ignore_errors=True)


def leave_trace(found: Place) -> None:
    """Note the data folder where `traces` finds it."""
    found.run.mkdir(parents=True, exist_ok=True)
    (found.run / "data").write_text(f"{found.data}\n")


def traces() -> list[Path]:
    """Data folders of the labs that run on this machine, or were killed."""
    return [Path(trace.read_text().strip()) for trace in RUN.glob("*/data")]


async def after_death(data: Path) -> None:
    """Remove the leftovers of a lab that no longer runs; raise when it does."""
    found = place(data)
    with claim(found.guests):
        await leftovers(found)


async def _kill(found: Place, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        await commands.attempt(
            ["lxc-stop", "-P", str(found.lxcpath), "-n", name, "-k"], timeout_seconds=STOP_SECONDS
        )
