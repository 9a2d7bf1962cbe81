"""Act on a container from its node, through `pct`.

Theory of operation. `pct exec` passes the command's exit code through, and uses the same numbers for errors
of its own (255: not running, 2: no such container; PVE 9.2, observed). So the guest's first line of output is
a marker of ours: without it, the code is Proxmox' own. `pct exec` also costs half a second of CPU on the
host: whatever belongs together goes into one script, and the commands of one job through a `GuestSession`.

The command in the guest dies with its connection: our end of its standard input stays open as long as we
wait, and a guard in the guest (`guest/guard.sh`) kills the command when it ends. It gets a clean environment,
not the host's.

`pct push` and `pct pull` are not used: they report success when they fail (PVE 9.2, observed).
"""

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta

from slipway.contracts.problems import SlipwayError
from slipway.proxmox.error_mapping import text_error
from slipway.proxmox.errors import ContainerMissing, PctFailed
from slipway.proxmox.guest_session import GuestSession
from slipway.proxmox.protocols import Shell
from slipway.proxmox.shell import guest_script, sh
from slipway.proxmox.ssh import Collected, Completed, OnRawLine, Stream

HOST_TIMEOUT = timedelta(seconds=60)
_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "USER=root",
    "LOGNAME=root",
    "SHELL=/bin/sh",
    "LANG=C.UTF-8",
    "TERM=dumb",
)


class Pct:
    """Containers of one node."""

    def __init__(self, shell: Shell, session: GuestSession | None = None) -> None:
        """Act through a shell; commands in a session's container go through the session where they can."""
        self._shell = shell
        self._session = session

    async def execute(
        self,
        vmid: int,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: timedelta,
    ) -> Completed:
        """Run a command in a container to its end; the exit code is the command's own.

        Args:
            vmid: The container, which must run.
            argv: Program and arguments; they show in process lists of host and guest.
            stdin: The command's standard input.
            timeout: How long at most; then the command is killed.
        """
        collected = Collected()
        code = await self.stream(vmid, argv, stdin=stdin, timeout=timeout, on_line=collected.take)
        return collected.completed(code)

    async def script(
        self,
        vmid: int,
        script: str,
        arguments: Sequence[str] = (),
        *,
        stdin: bytes = b"",
        timeout: timedelta,
    ) -> Completed:
        """Run a POSIX shell script in a container, in one remote process; `$1`, `$2`, ... are the arguments.

        Secrets belong neither into the script nor into its arguments, but on standard input.
        """
        return await self.execute(vmid, sh(script, *arguments), stdin=stdin, timeout=timeout)

    async def stream(
        self, vmid: int, argv: Sequence[str], *, stdin: bytes = b"", timeout: timedelta, on_line: OnRawLine
    ) -> int:
        """Run a command as `execute` does, and pass on each line of bytes; return the exit code."""
        if self._session is not None and self._session.vmid == vmid:
            code = await self._session.stream(argv, stdin=stdin, timeout=timeout, on_line=on_line)
            if code is not None:
                return code
        arrival = _Arrival(on_line)
        guarded = sh(guest_script("guard"), arrival.marker, str(len(stdin)), *argv)
        code = await self._shell.stream(
            _pct_exec(vmid, guarded),
            stdin=stdin,
            hold_stdin=True,
            timeout=timeout,
            on_line=arrival.take,
        )
        if not arrival.has_come:
            raise own_error(f"pct exec {vmid}", code, arrival.complaints, vmid)
        return code

    async def set_options(self, vmid: int, options: Mapping[str, str]) -> None:
        """Change what only root's password may, over SSH: features, bind mounts, devices, the hookscript.

        No API token may set more features than nesting (PVE 9.2, observed).

        Args:
            vmid: The container.
            options: `{"mp0": "/srv/media,mp=/media", "delete": "mp1,dev0"}`, named as in Proxmox's schema;
                `revert` drops changes that wait for the next start. A value never begins with a dash.
        """
        if wrong := [name for name, value in options.items() if value.startswith("-") or not value]:
            raise ValueError(f"not a value for {wrong[0]}")
        arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
        await self._host("set", vmid, *arguments)

    async def real_path(self, path: str) -> str | None:
        """Follow every link of a host path; None if there is nothing."""
        done = await self._shell.run(("realpath", "-e", "--", path), timeout=HOST_TIMEOUT)
        return done.stdout.strip() if done.exit_code == 0 else None

    async def unlock(self, vmid: int) -> None:
        """Remove a lock that a killed worker left; for a lock whose task still runs this is wrong."""
        await self._host("unlock", vmid)

    async def destroy(self, vmid: int) -> None:
        """Remove a stopped container and its disks; nothing to do if there is none."""
        with contextlib.suppress(ContainerMissing):
            await self._host("destroy", vmid, "--purge", "1")

    async def _host(self, verb: str, vmid: int, *arguments: str) -> None:
        done = await self._shell.run(("pct", verb, str(vmid), *arguments), timeout=HOST_TIMEOUT)
        if done.exit_code != 0:
            raise own_error(f"pct {verb} {vmid}", done.exit_code, done.stderr, vmid)


def open_session(shell: Shell, vmid: int) -> GuestSession:
    """Return a session in a container; it begins with its first command."""
    return GuestSession(shell, vmid, _pct_exec(vmid, sh(guest_script("session"))))


def _pct_exec(vmid: int, argv: Sequence[str]) -> tuple[str, ...]:
    return ("pct", "exec", str(vmid), "--", "env", "-i", *_ENVIRONMENT, *argv)


class _Arrival:
    """Passes on the lines of a command, but for the marker that shows that the guest was reached."""

    def __init__(self, on_line: OnRawLine) -> None:
        self.marker = f"slipway-{secrets.token_hex(8)}"
        self.has_come = False
        self.complaints = ""
        self._on_line = on_line

    async def take(self, stream: Stream, line: bytes) -> None:
        if stream is Stream.STDOUT and not self.has_come and line.strip() == self.marker.encode():
            self.has_come = True
            return
        if not self.has_come:
            self.complaints += line.decode("utf-8", errors="replace")
        await self._on_line(stream, line)


def own_error(command: str, code: int, complaints: str, vmid: int) -> SlipwayError:
    """Return the error for what `pct` itself says, warnings before it left aside."""
    output = complaints.strip()
    error = next((mapped for line in output.splitlines() if (mapped := text_error(line))), None)
    error = error or PctFailed(f"{command} failed with code {code}: {output or 'no output'}")
    error.details |= {"vmid": str(vmid), "command": command, "exit_code": str(code)}
    return error
