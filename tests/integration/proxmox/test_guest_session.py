"""One `pct exec` for many commands: what each printed is its own, nothing runs twice or is left behind."""

import asyncio
import hashlib
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from slipway.proxmox.errors import CommandLost, CommandTimedOut, NotRunning
from slipway.proxmox.guest_session import MOST_INPUT_BYTES, GuestSession
from slipway.proxmox.hosts import Cluster
from slipway.proxmox.pct import Pct, open_session
from slipway.proxmox.shell import guest_script
from slipway.proxmox.ssh import Collected, Completed, NodeShell
from support import lab_client
from support.real_guests import need_real_guests
from support.ssh_server import SshServer
from support.waiting import lives, until

LIMIT = timedelta(seconds=20)


@pytest.fixture
def pct(shell: NodeShell, session: GuestSession) -> Pct:
    """A container with a session."""
    return Pct(shell, session)


async def run(session: GuestSession, argv: Sequence[str], stdin: bytes = b"") -> Completed:
    """Run a command through a session."""
    output = Collected()
    code = await session.stream(argv, stdin=stdin, timeout=LIMIT, on_line=output.take)
    assert code is not None
    return output.completed(code)


@pytest.mark.parametrize("guest_shell", [("dash",), ("bash", "--posix"), ("busybox", "sh")])
async def test_commands_share_one_process(
    shell: NodeShell, server: SshServer, guest_shell: tuple[str, ...]
) -> None:
    """In each shell that a guest may have: output, errors, codes, input and odd words stay apart."""
    if shutil.which(guest_shell[0]) is None:
        pytest.skip(f"{guest_shell[0]} is not on this machine")
    script = guest_script("session")
    session = GuestSession(shell, 100, (*guest_shell, "-c", script, "slipway"))
    odd = "a  b\n 'c' \"d\" $HOME \\\\ `id` \t end\n"
    data = bytes(range(256)) * 100
    arguments = "cat /proc/[0-9]*/cmdline | tr '\\000' '\\n' | grep -x 'slipway-[0-9a-f]*'; echo end"

    results = [
        await run(session, ["sh", "-c", "echo out; echo err >&2; exit 3"]),
        await run(session, ["printf", "%s", odd]),
        await run(session, ["md5sum"], stdin=data),
        await run(session, ["sh", "-c", "printf '\\n\\nx\\n\\n'; printf unended >&2"]),
        await run(session, ["true"], stdin=data),
        await run(session, ["no-such-command"]),
        await run(session, ["cat"], stdin=b"last"),
        await run(session, ["sh", "-c", arguments]),
    ]
    await session.aclose()

    assert (results[0].exit_code, results[0].stdout, results[0].stderr) == (3, "out\n", "err\n")
    assert results[1].stdout == odd
    assert results[2].stdout == f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  -\n"
    assert (results[3].stdout, results[3].stderr) == ("\n\nx\n\n", "unended\n")
    assert [each.exit_code for each in results[4:]] == [0, 127, 0, 0]
    assert results[7].stdout == "end\n"
    assert results[6].stdout == "last\n"
    assert len(server.commands) == 1
    await until(lambda: not lives(server.pids[0]))


async def test_what_can_not_share_has_its_own(pct: Pct, server: SshServer) -> None:
    """A command beside another, and one with more input than a shell should read."""
    first = asyncio.create_task(pct.script(100, "sleep 0.3; echo first", timeout=LIMIT))
    await until(lambda: len(server.commands) == 1)
    second = await pct.script(100, "echo second", timeout=LIMIT)
    large = await pct.script(100, "wc -c", stdin=bytes(MOST_INPUT_BYTES + 1), timeout=LIMIT)

    assert ((await first).stdout, second.stdout) == ("first\n", "second\n")
    assert int(large.stdout) == MOST_INPUT_BYTES + 1
    assert len(server.commands) == 3


async def test_a_session_that_ended_is_followed_by_another(pct: Pct, server: SshServer) -> None:
    """As after a reboot of the guest, or a lost connection."""
    await pct.execute(100, ["true"], timeout=LIMIT)
    server.cut()
    await until(lambda: not lives(server.pids[0]))
    with suppress(CommandLost):  # sent before the end of the connection was seen
        await pct.execute(100, ["true"], timeout=LIMIT)
    done = await pct.execute(100, ["echo", "again"], timeout=LIMIT)

    assert (done.stdout, len(server.commands)) == ("again\n", 2)


async def test_a_killed_session_ends_its_command(pct: Pct, server: SshServer, tmp_path: Path) -> None:
    """The command is not run again: it may have had its effect."""
    runs = tmp_path / "runs"
    command = asyncio.create_task(pct.script(100, f"echo run >>{runs}; exec sleep 60", timeout=LIMIT))
    await until(runs.exists)

    server.cut()

    with pytest.raises(CommandLost):
        await command
    await pct.execute(100, ["true"], timeout=LIMIT)
    assert runs.read_text() == "run\n"


async def test_a_command_out_of_time_ends_with_its_session(pct: Pct, tmp_path: Path) -> None:
    """The next command has another."""
    pid = tmp_path / "pid"

    with pytest.raises(CommandTimedOut):
        await pct.script(100, f"echo $$ >{pid}; exec sleep 60", timeout=timedelta(seconds=0.5))

    assert (await pct.execute(100, ["echo", "on"], timeout=LIMIT)).stdout == "on\n"
    await until(lambda: not lives(int(pid.read_text())))


async def test_a_container_that_is_off_is_named(shell: NodeShell) -> None:
    """With the same error as without a session."""
    pct = Pct(shell, open_session(shell, 405))

    with pytest.raises(NotRunning):
        await pct.execute(405, ["true"], timeout=LIMIT)


@pytest.fixture(scope="module")
def with_real_guests() -> None:
    """Real containers can run here."""
    need_real_guests()


@pytest.mark.lxc
@pytest.mark.usefixtures("with_real_guests")
@pytest.mark.parametrize("lab", ["lxc"], indirect=True)
async def test_a_session_outlives_that_a_boot_empties_tmp(cluster: Cluster) -> None:
    """A job's first command comes before systemd-tmpfiles, which takes away what lies in /tmp."""
    await lab_client.create(cluster)
    await lab_client.start(cluster)
    session = open_session(cluster.shell(lab_client.NODE), 100)

    emptied = await run(session, ["sh", "-c", "rm -rf /tmp/*; ls /tmp"])
    after = [await run(session, ["cat"], stdin=b"one"), await run(session, ["echo", "two"])]
    await session.aclose()

    assert emptied == Completed(exit_code=0, stdout="", stderr="")
    assert [each.stdout for each in after] == ["one\n", "two\n"]
