"""The lab's SSH side: `pct` as root's shell on a node knows it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from slipway.lab.node import Lab
from support.lab import api_client, new_container, running_lab, ssh_client, started
from support.lab import until as support_until


async def run(lab: Lab, line: str) -> tuple[int | None, str, str]:
    """Run a line; give exit code and outputs."""
    async with ssh_client(lab) as root:
        done = await root.run(line)
    return done.exit_status, str(done.stdout), str(done.stderr)


@pytest.mark.parametrize(
    ("line", "code", "stdout", "stderr"),
    [
        ("pct exec 100 -- sh -c 'echo out; echo err >&2; exit 42'", 42, "out\n", "err\n"),
        ("pct exec 100 -- sh -c 'kill -9 $$'", 137, "", ""),
        ("pct exec 100 -- printf %s 'a;b && c | d \"e\"'", 0, 'a;b && c | d "e"', ""),
        ("pct exec 100 -- pwd", 0, "/\n", ""),
        ("pct exec 999 -- true", 2, "", "Configuration file 'nodes/lab/lxc/999.conf' does not exist\n"),
        ("pct exec 101 -- true", 255, "", "container '101' not running!\n"),
        ("nope", 127, "", "bash: line 1: nope: command not found\n"),
        ("pct status 100; pct status 101", 0, "status: running\nstatus: stopped\n", ""),
        ("false && echo no || echo yes", 0, "yes\n", ""),
        ("sh -c 'echo a; exit 3'", 3, "a\n", ""),
        ("pct start 100", 255, "", "CT 100 already running\n"),
        ("pct destroy 100", 255, "", "unable to destroy CT 100 - container is running\n"),
        ("pct push 100 /nofile /x", 0, "", "failed to open /nofile for reading: No such file or directory\n"),
        ("pct stop 101", 255, "", "CT 101 not running\n"),
        ("pct unlock 999", 2, "", "Configuration file 'nodes/lab/lxc/999.conf' does not exist\n"),
        ("pct set 101", 255, "", "no options specified\n"),
        ("hostname; command -v pct; command -v apt", 1, "lab\n/usr/sbin/pct\n", ""),
        ("/usr/sbin/pct status 101 2>/dev/null", 0, "status: stopped\n", ""),
        ("/bin/nope", 127, "", "bash: line 1: /bin/nope: No such file or directory\n"),
        ("printf '%s-%s\\n' a b", 0, "a-b\n", ""),
        ("echo -n to >/dev/null; echo err 2>&1", 0, "err\n", ""),
        ("cat /nofile", 1, "", "cat: /nofile: No such file or directory\n"),
        ("find /dev/net -maxdepth 1 -type c; find /dev -maxdepth 0 -type c", 0, "/dev/net/tun\n", ""),
        ("pct push 101 /x /y", 255, "", "can only push files to a running CT\n"),
    ],
)
async def test_command_lines(two: Lab, line: str, code: int, stdout: str, stderr: str) -> None:
    """Exit codes and words are those of a real node."""
    assert await run(two, line) == (code, stdout, stderr)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Lab]:
    """Run a lab with container 100 running and 101 stopped."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await started(client, lab, 100)
        await new_container(client, lab, 101)
        yield lab


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("pct", "ERROR: no command specified"),
        ("pct frob 100", "ERROR: unknown command 'pct frob'"),
        ("pct start", "400 not enough arguments"),
        ("pct start abc", "400 Parameter verification failed."),
        ("pct exec 100", "400 not enough arguments"),
        (
            "pct set 101 --memory 1 --foo 2",
            "memory: value must have a minimum value of 16\nfoo: property is not",
        ),
        ("pct destroy 101 extra", "400 too many arguments"),
    ],
)
async def test_wrong_usage_is_reported(two: Lab, line: str, error: str) -> None:
    """A command line that `pct` does not take ends with 255 and says what is wrong with it."""
    code, _, stderr = await run(two, line)

    assert code == 255
    assert error in stderr


async def test_power_over_ssh(two: Lab) -> None:
    """`pct` starts, stops and shuts down, waits for the end and lists what became of it."""
    codes = [
        (await run(two, line))[0]
        for line in ("pct start 101", "pct stop 100", "pct shutdown 101 --timeout 20", "pct start 100")
    ]
    _, listed, _ = await run(two, "pct list")

    assert codes == [0, 0, 0, 0]
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [["100", "running"], ["101", "stopped"]]


async def test_script_on_standard_input_is_run(two: Lab) -> None:
    """Without a command the shell reads its lines from standard input."""
    async with ssh_client(two) as root:
        done = await root.run(input="echo one\npct status 101\nexit 4\n")

    assert (done.exit_status, done.stdout) == (4, "one\nstatus: stopped\n")


async def test_a_session_that_goes_while_it_writes(two: Lab) -> None:
    """The other sessions of its connection go on."""
    async with ssh_client(two) as root:
        other = await root.create_process("pct exec 100 -- sh -c 'read line; echo $line'")
        for _ in range(5):
            loud = await root.create_process("pct exec 100 -- sh -c 'while :; do echo loud; done'")
            await loud.stdout.read(100)
            loud.close()
            await loud.wait_closed()
        other.stdin.write("fine\n")
        done = await other.wait()

    assert (done.exit_status, done.stdout) == (0, "fine\n")


async def test_unknown_command_in_the_guest_is_127(two: Lab) -> None:
    """A command that the guest lacks has the code that a shell would give."""
    code, _, stderr = await run(two, "pct exec 100 -- nosuchcommand")

    assert code == 127
    assert stderr != ""


async def test_shell_refuses_what_it_cannot_expand(two: Lab) -> None:
    """A command that relies on more of bash than is there fails, it doesn't run differently."""
    code, stdout, _ = await run(two, "echo $HOME | cat")

    assert (code, stdout) == (2, "")


async def test_much_input_and_output_stream_through(two: Lab) -> None:
    """Megabytes go in and out unchanged, more than any buffer holds."""
    content = bytes(range(256)) * 40_000

    async with ssh_client(two) as root:
        done = await root.run("pct exec 100 -- sha256sum", input=content, encoding=None)
        digest = done.stdout if isinstance(done.stdout, bytes) else b""
        back = await root.run("pct exec 100 -- head -c 10000000 /dev/zero", encoding=None)

    assert digest.split()[0].decode() == hashlib.sha256(content).hexdigest()
    assert len(back.stdout or b"") == 10_000_000


async def test_output_comes_while_the_command_runs(two: Lab) -> None:
    """A line is there as soon as the guest has written it, and input reaches a waiting command."""
    async with (
        ssh_client(two) as root,
        root.create_process("pct exec 100 -- sh -c 'echo ready; read word; echo got $word'") as process,
    ):
        first = await asyncio.wait_for(process.stdout.readline(), 10)
        process.stdin.write("it\n")
        second = await asyncio.wait_for(process.stdout.readline(), 10)

    assert (first, second) == ("ready\n", "got it\n")


async def test_lost_connection_hangs_up_on_the_command(two: Lab) -> None:
    """When the session goes the command's input ends."""
    script = "touch /tmp/begun; cat >/dev/null; touch /tmp/hung-up"

    async with ssh_client(two) as root:
        process = await root.create_process(f"pct exec 100 -- sh -c '{script}'")
        await until(two, "test -e /tmp/begun")
        assert process.exit_status is None
        root.abort()

    await until(two, "test -e /tmp/hung-up")


async def test_push_copies_and_pull_brings_back(two: Lab) -> None:
    """A file of the pretend host reaches the guest with its mode, and comes back."""
    (two.data / "host" / "tmp").mkdir()
    (two.data / "host" / "tmp" / "one").write_text("content")

    await run(two, "pct push 100 /tmp/one /root/one --perms 0600")
    mode = await run(two, "pct exec 100 -- stat -c %a /root/one")
    await run(two, "pct pull 100 /root/one /tmp/two")

    assert mode == (0, "600\n", "")
    assert (two.data / "host" / "tmp" / "two").read_text() == "content"


async def test_push_hides_its_failure(two: Lab) -> None:
    """A push into a folder that is not there ends with 0; only standard error shows it."""
    (two.data / "host" / "one").write_text("content")

    done = await run(two, "pct push 100 /one /nodir/one")

    assert done == (0, "", "failed to create file: /nodir/one: No such file or directory\n") or done[0] == 0
    assert "failed to create file: /nodir/one" in done[2]


async def test_features_are_set_over_ssh(two: Lab) -> None:
    """Root's shell may set what no token may."""
    code, _, _ = await run(two, "pct set 101 --features nesting=1,keyctl=1")
    _, config, _ = await run(two, "pct config 101")

    assert code == 0
    assert "features: nesting=1,keyctl=1\n" in config


async def test_password_and_key_open_the_door_and_nothing_else(two: Lab) -> None:
    """Root comes in by password; a wrong one and other users don't."""
    known_hosts = asyncssh.import_known_hosts(f"[127.0.0.1]:{two.ssh_port} {two.ssh_host_key}\n")

    async def attempt(user: str, password: str) -> None:
        async with asyncssh.connect(
            "127.0.0.1", two.ssh_port, username=user, password=password, known_hosts=known_hosts,
            client_keys=None, agent_path=None, config=None,
        ):  # fmt: skip
            pass

    await attempt("root", two.root_password)
    for user, password in (("root", "wrong"), ("admin", two.root_password)):
        with pytest.raises(asyncssh.PermissionDenied):
            await attempt(user, password)


async def until(lab: Lab, test: str) -> None:
    """Wait until a test in the guest succeeds."""
    async with ssh_client(lab) as root:

        async def succeeds() -> bool:
            return (await root.run(f"pct exec 100 -- {test}")).exit_status == 0

        await support_until(succeeds)
