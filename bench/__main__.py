"""`make bench`: measure the lines that are asked for, print one table, write `results.json`."""

import argparse
import asyncio
import os
import platform
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from bench import cancels, creations, idle, kills, lists, reads, replicas, start, table, verbs, viewers
from bench.builds import COMMIT, Side, builds, commit, running_side_by_side
from bench.table import Row
from support.stack import RunningStack

OF_BOTH: Mapping[str, Callable[[list[Side]], Coroutine[Any, Any, list[Row]]]] = {
    "reads": reads.measured,
    "verbs": verbs.measured,
    "creations": creations.measured,
    "kills": kills.measured,
    "idle": idle.measured,
    "lists": lists.measured,
}
"""Measured on stacks of all builds that run side by side, in turns; what fills them comes last."""
OF_OURS: Mapping[str, Callable[[RunningStack], Coroutine[Any, Any, list[Row]]]] = {
    "cancels": cancels.measured,
    "viewers": viewers.measured,
}
"""Measured on our stack."""
LINES = ("start", *OF_BOTH, *OF_OURS, "replicas")


def main() -> None:
    """Measure; what was measured is kept when a later line fails."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("lines", nargs="*", metavar="LINE", help=", ".join(LINES))
    asked = parser.parse_args().lines or LINES
    if unknown := set(asked) - set(LINES):
        parser.error(f"there is no line {', '.join(unknown)}; lines are {', '.join(LINES)}")
    if len(builds()) == 1:
        print(f"Without the baseline {COMMIT}, and so without ratios: `make bench-baseline` makes it.")
    rows: list[Row] = []
    try:
        if "start" in asked:
            _add(rows, start.measured())
        if {*OF_BOTH, *OF_OURS}.intersection(asked):
            with running_side_by_side() as sides:
                for line, measure in OF_OURS.items():
                    if line in asked:
                        _add(rows, asyncio.run(measure(sides[0].stack)))
                for line, measure_all in OF_BOTH.items():
                    if line in asked:
                        _add(rows, asyncio.run(measure_all(sides)))
        if "replicas" in asked:
            _add(rows, asyncio.run(replicas.measured()))
    finally:
        table.save(rows, commit())
        cores = f"{os.cpu_count()} cores, Python {platform.python_version()}, simulated guests"
        print(f"\n{cores}, commit {commit()}, load {os.getloadavg()[0]:.1f}\n\n{table.markdown(rows)}")


def _add(rows: list[Row], measured: list[Row]) -> None:
    for row in measured:
        print(": ".join(filter(None, row.cells()[:3])), flush=True)
    rows += measured


if __name__ == "__main__":
    main()
