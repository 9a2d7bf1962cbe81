"""`slipway demo` and `demo-clean`, run to their ends as anyone runs them."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from slipway.standalone.accounts import OURSELVES, Confinement
from slipway.standalone.confine import confine

RUN_SECONDS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A run that is over."""

    data: Path
    who: Confinement
    status: int
    output: str


def run_demo(
    verb: str, data: Path, *arguments: str, who: Confinement = OURSELVES, **environment: str
) -> Demo:
    """Run a verb of the command line to its end, as ourselves or as another user, without a terminal."""
    command = [sys.executable, "-m", "slipway.cli", verb, "--data", str(data), *arguments]
    orders = who.orders(dies_with=signal.SIGKILL)
    ended = subprocess.run(
        command,
        check=False,
        preexec_fn=lambda: confine(orders),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=RUN_SECONDS,
        cwd="/",
        env={**os.environ, "HOME": str(data.parent), "LAB": "simulated", **environment},
    )
    return Demo(data=data, who=who, status=ended.returncode, output=ended.stdout.decode())
