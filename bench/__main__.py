"""`make bench`: start a stack with simulated guests, measure, print one table."""

import asyncio
import os
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from chaos.run import copy_templates

from bench import bulk, cancels, creations, fleet, memory, replicas, viewers
from bench.table import Row, markdown
from support.stack import RunningStack, running_stack, stack_folder

LIMITS = {"SLIPWAY_NODE_CREATIONS": "8"}


async def measured(stack: RunningStack) -> list[Row]:
    """Measure everything that one running stack can show."""
    rows = [memory.idle(stack)]
    rows += await creations.measured(stack)
    rows += await cancels.measured(stack)
    rows += await viewers.measured(stack)
    rows += await bulk.measured(stack)
    rows += await fleet.measured(stack)
    return rows


def main() -> None:
    """Measure on a fresh data folder, then how long the second start on it takes."""
    with stack_folder() as data:
        environment = LIMITS | copy_templates(data.parent / "lxc")
        began = time.monotonic()
        with running_stack("--lab", "--guests", "simulated", data=data, **environment) as stack:
            cold = time.monotonic() - began
            rows = asyncio.run(measured(stack))
        began = time.monotonic()
        with running_stack("--lab", "--guests", "simulated", data=data, **environment):
            warm = time.monotonic() - began
    with stack_folder() as data:
        environment = LIMITS | replicas.LIMITS | copy_templates(data.parent / "lxc")
        with running_stack("--lab", "--guests", "simulated", data=data, **environment) as stack:
            rows += asyncio.run(replicas.measured(stack))
    rows.append(Row("`slipway up --lab`, empty data folder", f"{cold:.1f} s"))
    rows.append(Row("the same, second start", f"{warm:.1f} s", f"{warm / cold:.2f} of the first"))
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, simulated guests\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
