"""Where the official schema and the recorded exchanges are, if this machine has them.

They are not part of the project: `SLIPWAY_PVE_REFERENCE` names a folder with `pve-*.json` (Proxmox' API
schema, newest last by name) and `recordings-*.ndjson`.
"""

import os
from pathlib import Path

import pytest

VARIABLE = "SLIPWAY_PVE_REFERENCE"


def reference(pattern: str) -> Path:
    """Return the newest file of a kind, or skip the test and say why."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} names no folder with Proxmox' schema and recordings")
    return newest(Path(folder), pattern)


def newest(folder: Path, pattern: str) -> Path:
    """Return the last file that fits by name; skip if there is none."""
    files = sorted(folder.glob(pattern))
    if not files:
        pytest.skip(f"{folder} has no {pattern}")
    return files[-1]
