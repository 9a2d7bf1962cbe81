"""An SSH server of this process, and what acts through it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway.proxmox.detached import Detached
from slipway.proxmox.pct import Pct
from slipway.proxmox.ssh import NodeShell
from support.ssh_server import SshServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SshServer]:
    """A node whose commands run on this machine."""
    async with SshServer(tmp_path / "node") as server:
        yield server


@pytest.fixture
async def shell(server: SshServer) -> AsyncIterator[NodeShell]:
    """Commands on that node."""
    shell = NodeShell(server.access())
    yield shell
    await shell.aclose()


@pytest.fixture
def pct(shell: NodeShell) -> Pct:
    """Containers of that node, which are this machine."""
    return Pct(shell)


@pytest.fixture
def detached(pct: Pct, tmp_path: Path) -> Detached:
    """Detached work in container 100, with its state in this test's folder."""
    return Detached(pct, 100, root=str(tmp_path / "runs"))
