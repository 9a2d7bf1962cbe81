"""An SSH server of this process, a lab, and what acts through them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway.lab.node import Lab
from slipway.proxmox.detached import Detached
from slipway.proxmox.guest_session import GuestSession
from slipway.proxmox.hosts import Cluster, Hosts
from slipway.proxmox.pct import Pct, open_session
from slipway.proxmox.ssh import NodeShell
from support.lab import running_lab
from support.lab_client import access_to
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
def vmid() -> int:
    """The container that commands run in."""
    return 100


@pytest.fixture
async def session(shell: NodeShell, vmid: int) -> AsyncIterator[GuestSession]:
    """A session in a container."""
    session = open_session(shell, vmid)
    yield session
    await session.aclose()


@pytest.fixture
def detached(shell: NodeShell, session: GuestSession, vmid: int, tmp_path: Path) -> Detached:
    """Detached work in a container, through a session as in a job; its state is in this folder."""
    return Detached(Pct(shell, session), vmid, root=str(tmp_path / "runs"))


@pytest.fixture
async def lab(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    """A node with simulated guests, or with those that the test asks for."""
    async with running_lab(tmp_path / "lab", guests=getattr(request, "param", "simulated")) as lab:
        yield lab


@pytest.fixture
async def cluster(lab: Lab, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Our connections to it."""
    hosts = Hosts(record=tmp_path / "record")
    yield hosts.open("lab", access_to(lab))
    await hosts.aclose()
