"""Commands in a container through `pct`: whose exit code it is, and that nothing is left behind."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from slipway.contracts.problems import NotFound
from slipway.proxmox.access import ApiAccess, ClusterAccess
from slipway.proxmox.errors import CommandLost, CommandTimedOut, ContainerMissing, NotRunning
from slipway.proxmox.guest_session import GuestSession
from slipway.proxmox.hosts import Hosts
from slipway.proxmox.pct import Pct
from slipway.proxmox.ssh import NodeShell
from support.ssh_server import SshServer
from support.waiting import lives, until

LIMIT = timedelta(seconds=20)


@pytest.fixture(params=["exec", "session"])
def pct(shell: NodeShell, session: GuestSession, request: pytest.FixtureRequest) -> Pct:
    """Containers of a node, each command with a `pct exec` of its own or through a session."""
    return Pct(shell, session if request.param == "session" else None)


@pytest.mark.parametrize("code", [0, 1, 2, 125, 127, 255])
async def test_an_exit_code_is_the_commands_own(pct: Pct, code: int) -> None:
    """Also those that Proxmox uses for errors of its own."""
    done = await pct.execute(100, ["sh", "-c", f"echo out; echo err >&2; exit {code}"], timeout=LIMIT)

    assert (done.exit_code, done.stdout, done.stderr) == (code, "out\n", "err\n")


async def test_a_missing_container_is_recognized_by_its_code(pct: Pct) -> None:
    """Proxmox ends with 2."""
    with pytest.raises(ContainerMissing) as caught:
        await pct.execute(404, ["true"], timeout=LIMIT)

    assert caught.value.details["vmid"] == "404"


async def test_a_stopped_container_is_recognized_by_its_code(pct: Pct) -> None:
    """Proxmox ends with 255."""
    with pytest.raises(NotRunning):
        await pct.execute(405, ["true"], timeout=LIMIT)


@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_000])
async def test_input_arrives_whole_and_ends(pct: Pct, size: int) -> None:
    """Whatever bytes it has."""
    sent = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    done = await pct.execute(100, ["sh", "-c", "wc -c; sha256sum </dev/null"], stdin=sent, timeout=LIMIT)

    assert int(done.stdout.split()[0]) == size


async def test_a_script_gets_its_arguments_and_a_clean_environment(pct: Pct) -> None:
    """Nothing of the host's environment reaches the guest."""
    done = await pct.script(
        100, 'printf "%s|" "$@"; echo "$HOME ${PCT_CALLS-none}"', ["a b", "'"], timeout=LIMIT
    )

    assert done.stdout == "a b|'|/root none\n"


async def test_a_command_in_the_guest_dies_at_its_deadline(pct: Pct, tmp_path: Path) -> None:
    """Even though it notices neither a closed input nor a signal to the SSH session."""
    pid = tmp_path / "pid"

    with pytest.raises(CommandTimedOut):
        await pct.script(100, f"echo $$ >{pid}; exec sleep 60", timeout=timedelta(seconds=0.5))

    await until(lambda: not lives(int(pid.read_text())))


async def test_a_command_in_the_guest_dies_with_its_connection(
    pct: Pct, server: SshServer, tmp_path: Path
) -> None:
    """Nobody reports a signal then; its input ends."""
    pid = tmp_path / "pid"
    command = asyncio.create_task(pct.script(100, f"echo $$ >{pid}; exec sleep 60", timeout=LIMIT))
    await until(lambda: pid.exists() and pid.read_text() != "")

    server.cut()

    with pytest.raises(CommandLost):
        await command
    await until(lambda: not lives(int(pid.read_text())))


async def test_a_daemon_that_a_command_starts_stays(pct: Pct, tmp_path: Path) -> None:
    """Starting a service is what many commands are for."""
    pid = tmp_path / "pid"

    await pct.script(100, f"setsid sleep 60 >/dev/null 2>&1 & echo $! >{pid}", timeout=LIMIT)

    assert lives(int(pid.read_text()))
    os.kill(int(pid.read_text()), 9)


async def test_features_locks_and_removal_are_pcts(pct: Pct, server: SshServer) -> None:
    """Options are named as in Proxmox's schema."""
    await pct.set_options(100, {"features": "nesting=1,keyctl=0,mount=nfs;cifs", "delete": "mp1,dev0"})
    await pct.unlock(100)
    await pct.destroy(100)
    await pct.destroy(404)

    assert server.calls.read_text().splitlines() == [
        "set 100 --features nesting=1,keyctl=0,mount=nfs;cifs --delete mp1,dev0",
        "unlock 100 ",
        "destroy 100 --purge 1",
    ]


async def test_a_clusters_connections_are_stored_until_its_access_changes(server: SshServer) -> None:
    """A node without access is reported, not tried."""
    api = ApiAccess(endpoint="https://127.0.0.1:1", token_id="slipway@pve!api", token_secret=SecretStr("x"))
    node = server.access()
    hosts = Hosts()
    first = hosts.open("home", ClusterAccess(api=api, nodes={"pve1": node}))

    assert hosts.open("home", ClusterAccess(api=api, nodes={"pve1": node})) is first
    assert (await first.pct("pve1").execute(100, ["echo", "hello"], timeout=LIMIT)).stdout == "hello\n"
    with pytest.raises(NotFound):
        first.shell("pve2")
    assert hosts.open("home", ClusterAccess(api=api)) is not first
    await first.aclose()
    await hosts.aclose()
