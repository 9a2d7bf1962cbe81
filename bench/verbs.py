"""What a command of `slipway` costs, beside Python that asks the same with httpx."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from statistics import median

from bench.builds import Side
from bench.table import Row, compared

TURNS = 5
_FLOOR = "import httpx, os; httpx.get(os.environ['URL'], headers={'Authorization': os.environ['KEY']})"


async def measured(sides: list[Side]) -> list[Row]:
    """List containers with the command, in turns."""
    values: dict[str, list[float]] = {side.name: [] for side in sides}
    floor = []
    endpoints = sides[0].stack.endpoints
    plain = {"URL": f"{endpoints['http']}/api/v1/containers", "KEY": f"Bearer {sides[0].stack.token}"}
    for _ in range(TURNS):
        floor.append(_cpu([sys.executable, "-c", _FLOOR], plain))
        for side in sides:
            environment = {
                "SLIPWAY_URL": side.stack.endpoints["http"],
                "SLIPWAY_TOKEN_FILE": side.stack.endpoints["bootstrap_token_file"],
            }
            values[side.name].append(_cpu([*side.build.program, *side.build.list_verb], environment))
    least = median(floor)
    beside = f"python + httpx {least:.2f} s, ratio {median(values[sides[0].name]) / least:.2f}"
    return [compared("`slipway container list`, CPU", values, "s", beside)]


def _cpu(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """CPU seconds of a program from its start to its end, which must be a good one."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **environment}) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_utime + usage.ru_stime
