"""Monitor between a real bus, a running lab, and a bus that answers as inventory does."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from slipway.lab.node import Lab
from slipway.monitor.access import ClusterConnections
from slipway.monitor.discovery.discover import Discoverer
from slipway.monitor.settings import MonitorSettings
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.topology.identities import generate
from support.inventory_side import Inventory, Monitor
from support.lab import running_lab
from support.nats import MakeBus


@pytest.fixture
async def lab(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Lab]:
    """A pretend Proxmox VE node with simulated guests, unless a test asks for others, or for more nodes."""
    asked = getattr(request, "param", "simulated")
    options = asked if isinstance(asked, dict) else {"guests": asked}
    name = None if "nodes" in options else "lab"
    async with running_lab(tmp_path / "lab", name=name, **options) as lab:
        yield lab


@pytest.fixture
async def inventory(lab: Lab, tmp_path: Path, make_bus: MakeBus) -> Inventory:
    """Inventory's answers on the bus."""
    answers = Inventory(lab, generate(tmp_path / "keys"))
    await make_bus("inventory", answers.register)
    return answers


@pytest.fixture
def settings(inventory: Inventory) -> MonitorSettings:
    """Monitor's own settings that keep no test waiting."""
    quick = timedelta(seconds=0.2)
    return MonitorSettings(
        sealing_key_file=inventory.identities.sealing_file("monitor"),
        sealing_public_file=inventory.identities.public_file,
        poll_interval=quick,
        facts_interval=quick,
        pending_interval=quick,
    )


@pytest.fixture
async def monitor(settings: MonitorSettings, make_bus: MakeBus) -> AsyncIterator[Monitor]:
    """Monitor without its background work."""
    bus = await make_bus("monitor")
    sealer = Sealer(settings)
    connections = ClusterConnections(bus, sealer, record=None)
    yield Monitor(bus, connections, sealer, Discoverer(bus, connections, sealer))
    await connections.aclose()
