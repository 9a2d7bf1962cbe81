"""Environments of their own, made by uv: as pip makes them, in a tenth of the time."""

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def uv(*arguments: str) -> str:
    """Run uv in the checkout, from what is on this machine if that is enough; return its output."""
    command = (str(Path(sys.executable).parent / "uv"), "--quiet", *arguments)
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    for more in ({"UV_OFFLINE": "1"}, {}):
        done = subprocess.run(
            command, cwd=_ROOT, env=environment | more, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return done.stdout
    raise AssertionError(done.stderr)
