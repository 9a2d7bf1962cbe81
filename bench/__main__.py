"""`make bench`: measure the lines that are asked for, print one table, write `results.json`."""

import argparse
import asyncio
import os
import platform
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from bench import (
    cancels,
    creations,
    idle,
    kills,
    lists,
    memory,
    reads,
    replicas,
    slow_node,
    soak,
    start,
    table,
    verbs,
    viewers,
)
from bench.builds import COMMIT, Side, builds, commit, running_side_by_side
from bench.table import Row
from support.stack import RunningStack

Measuring = Coroutine[Any, Any, list[Row]]


async def _on_ours(measure: Callable[[RunningStack], Measuring], sides: Sequence[Side]) -> list[Row]:
    return await measure(sides[0].stack)


SIDE_BY_SIDE: Mapping[str, Callable[[list[Side]], Measuring]] = {
    "cancels": partial(_on_ours, cancels.measured),
    "viewers": viewers.measured,
    "reads": reads.measured,
    "verbs": verbs.measured,
    "creations": creations.measured,
    "kills": kills.measured,
    "idle": idle.measured,
    "lists": lists.measured,
}
"""Measured on stacks of all builds that run side by side, in turns; what fills them comes last."""
ALONE: Mapping[str, Callable[[], list[Row]]] = {
    "start": start.measured,
    "memory": lambda: asyncio.run(memory.measured()),
    "replicas": lambda: asyncio.run(replicas.measured()),
    "slow-node": lambda: asyncio.run(slow_node.measured()),
    "soak": lambda: asyncio.run(soak.measured()),
}
"""Measured on stacks of their own."""
LINES = (*ALONE, *SIDE_BY_SIDE)
ONLY_NAMED = {"soak"}
"""Measured only if they are asked for: they take long, or need root."""


def main() -> None:
    """Measure what the command line asks for, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("lines", nargs="*", metavar="LINE", help=", ".join(LINES))
    asked = set(parser.parse_args().lines or set(LINES) - ONLY_NAMED)
    if unknown := asked - set(LINES):
        parser.error(f"there is no line {', '.join(unknown)}; lines are {', '.join(LINES)}")
    if len(builds()) == 1:
        print(f"Without the baseline {COMMIT}, and so without ratios: `make bench-baseline` makes it.")
    run = Run()
    for line, alone in ALONE.items():
        if line in asked:
            run.measure(line, alone)
    if asked.intersection(SIDE_BY_SIDE):
        with running_side_by_side() as sides:
            for line, on in SIDE_BY_SIDE.items():
                if line in asked:
                    run.measure(line, partial(_waited_for, on, sides))
    run.report()


def _waited_for(measure: Callable[[list[Side]], Measuring], sides: list[Side]) -> list[Row]:
    return asyncio.run(measure(sides))


class Run:
    """The rows so far; a line that fails does not hinder the others."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._failed: list[str] = []

    def measure(self, line: str, measure: Callable[[], list[Row]]) -> None:
        """Measure a line, print it and store it."""
        print(f"# {line}", flush=True)
        try:
            rows = measure()
        except Exception:  # noqa: BLE001 - whatever a line has met
            traceback.print_exc()
            self._failed.append(line)
            return
        for row in rows:
            print(": ".join(filter(None, row.cells())), flush=True)
        table.save(rows, commit())
        self._rows += rows

    def report(self) -> None:
        """Print the table; exit with 1 if a line failed."""
        cores = f"{os.cpu_count()} cores, Python {platform.python_version()}, simulated guests"
        print(f"\n{cores}, commit {commit()}\n\n{table.markdown(self._rows)}")
        if self._failed:
            sys.exit(f"not measured, for the reasons above: {', '.join(self._failed)}")


if __name__ == "__main__":
    main()
