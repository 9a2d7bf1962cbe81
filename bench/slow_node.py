"""A creation on a node whose `pct` takes long to start, as a real one's does: what of the time is ours.

Each build has a node of the lab of its own, of this build. The node's tasks take next to nothing there, and
count as ours, as does each start of `pct` but for the one that no creation can do without.
"""

from contextlib import ExitStack
from pathlib import Path

from bench.builds import Build, Side, builds, running
from bench.creations import created
from bench.node import running_node, use
from bench.table import Row, compared
from slipway.standalone.lab import RunningLab
from support.folders import open_folder
from support.lab import lab_of
from support.stack import stack_folder

PCT_SECONDS = 0.65
TURNS = 4


async def measured() -> list[Row]:
    """Create on both in turns."""
    with ExitStack() as stack:
        grounds = [_ground(stack, build) for build in builds()]
        seconds: dict[str, list[float]] = {side.name: [] for side, *_ in grounds}
        processes: dict[str, list[float]] = {side.name: [] for side, *_ in grounds}
        for side, node, _ in grounds:
            async with side.stack.client() as api:
                await use(api, node)
            await created(side)
        for _ in range(TURNS):
            for side, _, folder in grounds:
                before = await _begun(folder)
                seconds[side.name].append((await created(side)).seconds)
                processes[side.name].append(await _begun(folder) - before)
    ours = {name: [each - PCT_SECONDS for each in every] for name, every in seconds.items()}
    what = f"creation on a slow node (`pct` takes {PCT_SECONDS} s)"
    return [
        compared(f"{what}: time", seconds, "s"),
        compared(f"{what}: our share", ours, "s", "all but one start of `pct`"),
        compared(f"{what}: remote processes", processes, ""),
    ]


def _ground(stack: ExitStack, build: Build) -> tuple[Side, RunningLab, Path]:
    """Run a build, and a node for it; the node's folder."""
    folder = stack.enter_context(open_folder("node"))
    node = stack.enter_context(running_node(folder, pct_startup=PCT_SECONDS))
    data = stack.enter_context(stack_folder())
    return stack.enter_context(running(build, data=data, lab=())), node, folder


async def _begun(folder: Path) -> int:
    """Return how many programs were begun on a node over SSH so far."""
    async with lab_of(folder) as lab:
        answer = await lab.get(str(lab.base_url.copy_with(path="/lab/remote-processes")))
        return int(answer.raise_for_status().json()["data"])
