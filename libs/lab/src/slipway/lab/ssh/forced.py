"""Forced commands of `authorized_keys`, run as OpenSSH runs them: by root's shell, with the request beside.

Theory of operation. The command is a real program, on the pretend host: a shell in namespaces of its own,
whose root is the folder `host` of the lab's data, over the machine's `/usr`. Programs of the lab are small
scripts there (`/usr/sbin/pct`): they write down how they were called, and when the command has ended the lab
runs that call with the session's streams, as if the command had executed it. Pools stand in
`/etc/pve/user.cfg` and containers in `/etc/pve/lxc`, as on a real node.

Guarantees: nothing of the machine but its `/usr` is seen, and nothing of that can be changed.
Non-guarantees: only a call at the command's end has the session's input. (Scripts of root's own have
programs that answer while they run: `programs`.)
"""

import asyncio
import contextlib
import os
import signal
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import asyncssh

from slipway.lab.access.actors import ALL_PRIVILEGES
from slipway.lab.guests.commands import program
from slipway.lab.host.machine import Machine
from slipway.lab.ssh.paths import FOLDER
from slipway.lab.ssh.programs import SOCKET, Program, answer_calls, write_clients
from slipway.lab.ssh.shell import Shell
from slipway.lab.ssh.streams import Streams

SECONDS = 60.0
"""For the command, without the call at its end."""
_UNSHARE = ("--user", "--map-root-user", "--mount", "--uts", "--fork", "--kill-child")
_CALLED = """#!/bin/sh
printf '%s\\0' "${0##*/}" "$@" >/run/lab/call
"""
_LOGGED = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
printf '%s\\n' "$*" >>/var/log/auth.log
"""
_VIEW = """set -e
scratch=$1 host=$2 hostname=$3
shift 3
mkdir "$scratch/root"
mount -t tmpfs -o mode=755 lab "$scratch/root"
cd "$scratch/root"
for each in "$host"/*; do
    if [ -d "$each" ] && [ ! -L "$each" ]; then
        mkdir "./${each##*/}"
        mount --rbind "$each" "./${each##*/}"
    else
        cp -P "$each" .
    fi
done
mkdir -p usr run/lab proc tmp dev etc
# awk and other programs of Debian are links that lead through it.
[ ! -d /etc/alternatives ] || [ -e etc/alternatives ] || cp -RP /etc/alternatives etc/
for each in null urandom; do
    [ -e "dev/$each" ] || : >"dev/$each"
    mount --bind "/dev/$each" "dev/$each"
done
mount --bind "$scratch/run" run/lab
mount -t overlay -o "lowerdir=$scratch/programs:/usr" lab usr
for each in bin sbin lib lib32 lib64 libx32; do
    [ ! -L "/$each" ] || [ -e "$each" ] || ln -s "usr/$each" "$each"
done
hostname "$hostname"
exec chroot . /usr/bin/env -i "$@"
"""
_ENVIRONMENT = {
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """What a program on the pretend host came to."""

    code: int
    out: bytes
    errors: bytes
    call: Sequence[str]
    """The program of the lab that it called, with its arguments; empty if it called none."""


class ForcedCommands:
    """Runs forced commands on one node."""

    def __init__(self, machine: Machine, shell: Shell) -> None:
        self._machine = machine
        self._shell = shell

    async def run(self, command: str, original: str | None, streams: Streams) -> int:
        """Run a forced command, and what it executes at its end; give the exit code."""
        host = self._machine.folder / FOLDER
        self._write_pools(host)
        self._write_configs(host)
        asked = {} if original is None else {"SSH_ORIGINAL_COMMAND": original}
        done = await execute(host, self._machine.node, ["/bin/sh", "-c", command], environment=asked)
        await streams.out(done.out)
        await streams.err(done.errors)
        return await self._shell.call(done.call, streams) if done.call else done.code

    def _write_pools(self, host: Path) -> None:
        """Write the pools where `pmxcfs` shows them."""
        config = host / "etc" / "pve" / "user.cfg"
        config.parent.mkdir(parents=True, exist_ok=True)
        pools = self._machine.pools.all()
        lines = [f"pool:{one.poolid}::{','.join(map(str, one.vmids))}::" for one in pools]
        before = config.read_text().splitlines() if config.exists() else []
        # The users, roles and rights in it are `pveum`'s.
        after = [*(line for line in before if not line.startswith("pool:")), *lines]
        if after != before:
            config.write_text("".join(f"{line}\n" for line in after))

    def _write_configs(self, host: Path) -> None:
        """Write the configs of this node's containers where `pmxcfs` shows them."""
        folder = host / "etc/pve/lxc"
        folder.mkdir(parents=True, exist_ok=True)
        configs = self._machine.configs
        texts = {f"{vmid}.conf": configs.get(vmid) for vmid in configs.vmids()}
        for path in folder.iterdir():
            if path.name not in texts:
                path.unlink()
        for name, config in texts.items():
            (folder / name).write_text("".join(f"{key}: {value}\n" for key, value in config.items()))


async def execute(
    host: Path,
    hostname: str,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    stdin: bytes = b"",
    programs: Mapping[str, Program] | None = None,
    seconds: float = SECONDS,
) -> Executed:
    """Run a program on a pretend host.

    Args:
        host: its folder of files.
        hostname: its name.
        argv: the program.
        environment: beside what root's login has.
        stdin: the program's input.
        programs: what it may call while it runs, by name; without it one call at its end.
        seconds: what it may take.
    """
    async with contextlib.AsyncExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-lab-"))
        _write_programs(Path(scratch), host)
        if programs is not None:
            write_clients(Path(scratch) / "programs/sbin", tuple(programs))
            await stack.enter_async_context(answer_calls(Path(scratch) / "run" / SOCKET, programs))
        words = [f"{name}={value}" for name, value in {**_ENVIRONMENT, **environment}.items()]
        process = await asyncio.create_subprocess_exec(
            program("unshare"), *_UNSHARE, "--", "/bin/sh", "-c", _VIEW, "view", scratch, str(host), hostname,
            *words, *argv,
            stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True, cwd="/",
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                out, errors = await process.communicate(stdin)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Executed(code=process.returncode or 0, out=out, errors=errors, call=_call_of(Path(scratch)))


def authorized(path: Path, key: asyncssh.SSHKey) -> Mapping[str, str] | None:
    """Return the options of a key's line in `authorized_keys`; None if it has none."""
    text = path.read_text() if path.exists() else ""
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            # One line at a time: sshd passes over a line that it can't read, and takes the others.
            entry = asyncssh.import_authorized_keys(line).validate(key, "", "127.0.0.1")
            if entry is not None:
                return {name: value for name, value in entry.items() if isinstance(value, str)}
    return None


def _call_of(scratch: Path) -> list[str]:
    path = scratch / "run" / "call"
    return path.read_bytes().decode().split("\0")[:-1] if path.exists() else []


def _write_programs(scratch: Path, host: Path) -> None:
    (host / "var" / "log").mkdir(parents=True, exist_ok=True)
    (scratch / "run").mkdir()
    for name, text in (("sbin/pct", _CALLED), ("bin/logger", _LOGGED)):
        path = scratch / "programs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    pveum = scratch / "programs/sbin/pveum"
    pveum.write_bytes(resources.files("slipway.lab.host").joinpath("programs", "pveum").read_bytes())
    pveum.chmod(0o755)
    known = scratch / "programs/share/lab/privileges"
    known.parent.mkdir(parents=True)
    known.write_text("".join(f"{each}\n" for each in sorted(ALL_PRIVILEGES)))
