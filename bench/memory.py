"""The memory of a stack after it has created many containers, at rest again.

One stack at a time, as for `start`: what two builds share would be divided between them.
"""

import asyncio

from bench.builds import builds, running
from bench.creations import created
from bench.processes import pss_mib
from bench.start import REST_SECONDS, sizes
from bench.table import Row, compared
from support.stack import stack_folder

JOBS = 200
AT_ONCE = 100


async def measured() -> list[Row]:
    """Create with each build, and wait until what that needed for a moment is given back."""
    at_rest, after = {}, {}
    parts = ""
    for build in builds():
        with stack_folder() as data, running(build, data=data) as side:
            await created(side)
            await asyncio.sleep(REST_SECONDS)
            at_rest[build.name] = [sum(map(pss_mib, side.pids))]
            for _ in range(JOBS // AT_ONCE):
                await created(side, count=AT_ONCE)
            await asyncio.sleep(REST_SECONDS)
            found = sizes(side)
            after[build.name] = [sum(found.values())]
            parts = parts or ", ".join(f"{name} {size:.0f}" for name, size in found.items())
    ours = at_rest[builds()[0].name][0]
    return [compared(f"memory after {JOBS} jobs (PSS)", after, "MiB", f"after one {ours:.0f}; {parts}")]
