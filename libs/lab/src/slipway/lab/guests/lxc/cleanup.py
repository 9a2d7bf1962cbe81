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


async def leftovers(lab: Place) -> None:
    """Stop the lab's guests side by side, then remove its mounts, bridge and NAT; disks stay."""
    names = [folder.name for folder in lab.lxcpath.glob("slab-*")]
    await asyncio.gather(*(_kill(lab, name) for name in names))
    for root in (lab.run / "roots").glob("*"):
        await layers.unmount(root)
    await asyncio.to_thread(layers.gather, lab.folders())
    await network.down(lab)
    await asyncio.to_thread(shutil.rmtree, lab.run, ignore_errors=True)


def leave_trace(lab: Place) -> None:
    """Note the data folder where `traces` finds it."""
    lab.run.mkdir(parents=True, exist_ok=True)
    (lab.run / "data").write_text(f"{lab.data}\n")


def traces() -> list[Path]:
    """Data folders of the labs that run on this machine, or were killed."""
    return [Path(trace.read_text().strip()) for trace in RUN.glob("*/data")]


async def after_death(data: Path) -> None:
    """Remove the leftovers of a lab that no longer runs; raise when it does."""
    lab = place(data)
    with claim(lab.guests):
        await leftovers(lab)


async def _kill(lab: Place, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        await commands.attempt(
            ["lxc-stop", "-P", str(lab.lxcpath), "-n", name, "-k"], timeout_seconds=STOP_SECONDS
        )
