"""A worker on a real bus, before a lab with simulated guests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway.lab.node import Lab
from support.lab import running_lab
from support.nats import MakeBus
from support.provisioner_side import Ground, provisioner_on


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A pretend Proxmox VE node."""
    async with running_lab(tmp_path / "lab") as lab:
        yield lab


@pytest.fixture
async def ground(lab: Lab, make_bus: MakeBus, tmp_path: Path) -> AsyncIterator[Ground]:
    """A worker that does not listen for cancel flags."""
    async with provisioner_on(lab, make_bus, tmp_path) as ground:
        yield ground
