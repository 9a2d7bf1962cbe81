"""Removing what a lab leaves while it runs, by names alone: so it works after the lab was killed, too."""

import asyncio
import contextlib
import shutil
from pathlib import Path

from slipway.lab.guests.lxc import commands, layers, network
from slipway.lab.guests.lxc.place import RUN, Place, place

STOP_SECONDS = 20.0


async def leftovers(found: Place) -> None:
    """Stop the lab's guests side by side, then remove its mounts, bridge and NAT; disks are kept."""
    names = [folder.name for folder in found.guests.glob("slab-*")]
    await asyncio.gather(*(_kill(found, name) for name in names))
    for root in found.run.glob("*"):
        if root.is_dir():
            await layers.unmount(root)
    for name in names:
        await asyncio.to_thread(layers.gather, found.guests / name)
    await network.down(found)
    await asyncio.to_thread(shutil.rmtree, found.run, ignore_errors=True)


async def everything() -> list[Path]:
    """Do so for every lab that left a trace on this machine; give their data folders."""
    cleaned: list[Path] = []
    for trace in RUN.glob("*/data"):
        data = Path(trace.read_text().strip())
        await leftovers(place(data))
        cleaned.append(data)
    return cleaned


async def _kill(found: Place, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        await commands.attempt(
            ["lxc-stop", "-P", str(found.guests), "-n", name, "-k"], timeout_seconds=STOP_SECONDS
        )
