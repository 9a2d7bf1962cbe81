"""Commands over SSH against a real server: what arrives, what dies, what is never repeated."""

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest
from pydantic import SecretStr

from slipway.proxmox import links
from slipway.proxmox.access import NodeAccess
from slipway.proxmox.errors import AccessRefused, CommandLost, CommandTimedOut, HostKeyMismatch, SshRefused
from slipway.proxmox.lines import text_of
from slipway.proxmox.links import scan_host_key
from slipway.proxmox.ssh import BUFFER_BYTES, Collected, NodeShell, Stream
from support.ssh_server import SshServer
from support.waiting import lives, until

LIMIT = timedelta(seconds=20)


async def test_a_command_has_input_outputs_and_a_code(shell: NodeShell) -> None:
    """The two outputs stay apart."""
    output = Collected()
    argv = ["sh", "-c", "cat; echo wrong >&2; exit 3"]

    code = await shell.stream(argv, stdin=b"hello\n", timeout=LIMIT, on_line=output.take)

    done = output.completed(code)
    assert (done.exit_code, done.stdout, done.stderr) == (3, "hello\n", "wrong\n")


async def test_the_cipher_is_the_fastest_that_both_have(server: SshServer) -> None:
    """A server that takes only slower ones is reached all the same."""
    used = []
    for ciphers in ("", "chacha20-poly1305@openssh.com"):
        await server.stop()
        server.ciphers = ciphers
        await server.listen(server.port)
        shell = NodeShell(server.access())
        try:
            await shell.stream(["true"], timeout=LIMIT, on_line=Collected().take)
            used.append(server.connections[0].get_extra_info("recv_cipher"))
        finally:
            await shell.aclose()

    assert used == ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"]


async def test_a_signal_shows_in_the_code(shell: NodeShell) -> None:
    """As a shell counts: 128 and the signal."""
    done = await shell.run(["sh", "-c", "kill -9 $$"], timeout=LIMIT)

    assert done.exit_code == 137


async def test_an_argument_arrives_as_it_is(shell: NodeShell) -> None:
    """The host's shell takes nothing from it and adds nothing."""
    strange = 'it\'s $HOME `x` \\ "q"\n*'

    done = await shell.run(["printf", "%s", strange], timeout=LIMIT)

    assert done.stdout == strange


async def test_lines_come_as_they_are_written(shell: NodeShell) -> None:
    """Not when the command ends."""
    came: list[tuple[Stream, bytes]] = []
    first = asyncio.Event()

    async def keep(stream: Stream, line: bytes) -> None:
        came.append((stream, line))
        first.set()

    command = asyncio.create_task(
        shell.stream(["sh", "-c", "echo one; read x; echo two >&2"], timeout=LIMIT, on_line=keep)
    )
    await asyncio.wait_for(first.wait(), 10)
    await command

    assert came == [(Stream.STDOUT, b"one\n"), (Stream.STDERR, b"two\n")]


async def test_a_line_of_a_megabyte_arrives_whole(shell: NodeShell) -> None:
    """And so does noise that is no text."""
    lines: list[str] = []

    async def keep(_: Stream, line: bytes) -> None:
        lines.append(text_of(line))

    script = "head -c 1000000 /dev/zero | tr '\\0' x; echo; printf 'a\\000\\377b\\n'; printf end"
    await shell.stream(["sh", "-c", script], timeout=LIMIT, on_line=keep)

    assert [len(lines[0]), *lines[1:]] == [1_000_000, "a\ufffd\ufffdb", "end"]


async def test_memory_is_bounded_by_what_is_stored(shell: NodeShell) -> None:
    """The end counts more than the beginning."""
    done = await shell.run(["seq", "1", "1000000"], timeout=LIMIT)

    assert len(done.stdout) <= BUFFER_BYTES
    assert done.stdout.endswith("\n999999\n1000000\n")


async def test_a_command_that_reads_nothing_ends(shell: NodeShell) -> None:
    """However much it was sent."""
    sent = b"x" * 3_000_000

    code = await shell.stream(["true"], stdin=sent, timeout=LIMIT, on_line=Collected().take)

    assert code == 0


async def test_a_command_dies_at_its_deadline(shell: NodeShell, tmp_path: Path) -> None:
    """With all that it started."""
    pid = tmp_path / "pid"

    with pytest.raises(CommandTimedOut):
        await shell.run(["sh", "-c", f"sleep 60 & echo $! >{pid}; wait"], timeout=timedelta(seconds=0.5))

    await until(lambda: not lives(int(pid.read_text())))


@pytest.mark.parametrize("bashrc", ["echo Welcome; echo oops >&2", "printf '> '; printf '\\n\\n! ' >&2"])
async def test_what_the_login_shell_prints_is_no_output(
    shell: NodeShell, server: SshServer, bashrc: str
) -> None:
    """Root's `.bashrc` may print what it likes, with a line end or without."""
    server.bashrc = bashrc

    done = await shell.run(["sh", "-c", "echo; echo out; echo err >&2; exit 3"], timeout=LIMIT)

    assert (done.exit_code, done.stdout, done.stderr) == (3, "\nout\n", "err\n")


async def test_a_login_shell_that_runs_nothing_is_named(shell: NodeShell, server: SshServer) -> None:
    """With what it printed: the command was not run."""
    server.bashrc = "echo This account is closed.; exit 0"

    with pytest.raises(SshRefused, match=r"printed `This account is closed\.`\. Look at /root/\.bashrc"):
        await shell.run(["true"], timeout=LIMIT)


async def test_a_cancelled_command_dies(shell: NodeShell, tmp_path: Path) -> None:
    """Nobody waits for it any more."""
    pid = tmp_path / "pid"
    command = asyncio.create_task(shell.run(["sh", "-c", f"echo $$ >{pid}; exec sleep 60"], timeout=LIMIT))
    await until(lambda: pid.exists() and pid.read_text() != "")

    command.cancel()

    with pytest.raises(asyncio.CancelledError):
        await command
    await until(lambda: not lives(int(pid.read_text())))


async def test_a_command_is_not_repeated_when_its_connection_dies(
    shell: NodeShell, server: SshServer, tmp_path: Path
) -> None:
    """It may have had its effect; the next command has a new connection."""
    ran = tmp_path / "ran"
    command = asyncio.create_task(shell.run(["sh", "-c", f"echo x >>{ran}; sleep 60"], timeout=LIMIT))
    await until(ran.exists)

    server.cut()

    with pytest.raises(CommandLost):
        await command
    assert (await shell.run(["cat", str(ran)], timeout=LIMIT)).stdout == "x\n"


async def test_commands_share_a_connection_until_its_sessions_are_taken(
    shell: NodeShell, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then there is a second one, which goes when it is not needed."""
    monkeypatch.setattr(links, "SESSIONS", 2)

    await asyncio.gather(*(shell.run(["sleep", "0.2"], timeout=LIMIT) for _ in range(4)))
    await asyncio.gather(*(shell.run(["true"], timeout=LIMIT) for _ in range(2)))

    assert len(server.connections) == 2


async def test_another_host_key_is_refused_before_anything_is_sent(server: SshServer) -> None:
    """Neither login nor command reaches another host."""
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()
    shell = NodeShell(server.access(host_key=other))

    with pytest.raises(HostKeyMismatch):
        await shell.run(["true"], timeout=LIMIT)

    assert server.commands == []


async def test_the_pinned_key_decides_among_several(server: SshServer) -> None:
    """A node has keys of several kinds; ours is asked for."""
    shell = NodeShell(server.access(host_key=server.keys[1].export_public_key("openssh").decode()))

    done = await shell.run(["echo", "hello"], timeout=LIMIT)
    await shell.aclose()

    assert done.stdout == "hello\n"


async def test_a_wrong_key_is_refused(server: SshServer) -> None:
    """Access has to be asked for again; time does not help."""
    good = server.access()
    wrong = SecretStr(asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode())
    access = NodeAccess(
        name="pve1", address=good.address, port=good.port, private_key=wrong, host_key=good.host_key
    )

    with pytest.raises(AccessRefused):
        await NodeShell(access).run(["true"], timeout=LIMIT)


async def test_no_server_is_a_matter_of_time(server: SshServer, shell: NodeShell) -> None:
    """Nothing was run, and the next try finds it."""
    port = server.port
    await server.stop()

    with pytest.raises(SshRefused):
        await shell.run(["true"], timeout=LIMIT)

    await server.listen(port)
    assert (await shell.run(["echo", "back"], timeout=LIMIT)).stdout == "back\n"


async def test_a_host_key_can_be_asked_for(server: SshServer) -> None:
    """For a person to compare and pin."""
    key = await scan_host_key("127.0.0.1", port=server.port)

    assert key.split()[:2] in [each.export_public_key("openssh").decode().split()[:2] for each in server.keys]


async def test_asking_nobody_for_a_host_key_is_reported(tmp_path: Path) -> None:
    """A closed port."""
    async with SshServer(tmp_path) as gone:
        port = gone.port

    with pytest.raises(SshRefused):
        await scan_host_key("127.0.0.1", port=port)
