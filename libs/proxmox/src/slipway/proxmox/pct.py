"""Act on a container from its node, through `pct`.

Theory of operation. `pct exec` passes the command's exit code through, and uses the same numbers for errors
of its own (255: not running, 2: no such container; PVE 9.2, observed). So the guest's first line of output is
a marker of ours: without it, the code is Proxmox' own. `pct exec` also costs half a second of CPU on the
host: whatever belongs together goes into one script.

The command in the guest dies with its connection: our end of its standard input stays open as long as we
wait, and a guard in the guest (`guest/guard.sh`) kills the command when it ends. It gets a clean environment,
not the host's.

`pct push` and `pct pull` are not used: they report success when they fail (PVE 9.2, observed).
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta

from slipway.contracts.problems import SlipwayError
from slipway.proxmox.error_mapping import sort_text
from slipway.proxmox.errors import ContainerMissing, PctFailed
from slipway.proxmox.protocols import Shell
from slipway.proxmox.shell import guest_script, sh
from slipway.proxmox.ssh import BUFFER_BYTES, Collected, Completed, OnLine, OnRawLine, Stream

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

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    @property
    def node(self) -> str:
        """The node's name in Proxmox."""
        return self._shell.node

    async def execute(
        self,
        vmid: int,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: timedelta,
        on_line: OnLine | None = None,
        keep_bytes: int = BUFFER_BYTES,
    ) -> Completed:
        """Run a command in a container to its end; the exit code is the command's own.

        Args:
            vmid: The container, which must run.
            argv: Program and arguments; they show in process lists of host and guest.
            stdin: The command's standard input.
            timeout: How long at most; then the command is killed.
            on_line: Gets each line as it comes.
            keep_bytes: How much of each output is returned; the end counts more than the beginning.
        """
        collected = Collected(keep_bytes, on_line)
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
        on_line: OnLine | None = None,
        keep_bytes: int = BUFFER_BYTES,
    ) -> Completed:
        """Run a POSIX shell script in a container, in one remote process; `$1`, `$2`, ... are the arguments.

        Secrets belong neither into the script nor into its arguments, but on standard input.
        """
        argv = sh(script, *arguments)
        return await self.execute(
            vmid, argv, stdin=stdin, timeout=timeout, on_line=on_line, keep_bytes=keep_bytes
        )

    async def stream(
        self, vmid: int, argv: Sequence[str], *, stdin: bytes = b"", timeout: timedelta, on_line: OnRawLine
    ) -> int:
        """Like `execute`, but gives away each line of bytes with its newline; returns the exit code."""
        arrival = _Arrival(on_line)
        guarded = sh(guest_script("guard"), arrival.marker, str(len(stdin)), *argv)
        code = await self._shell.stream(
            ("pct", "exec", str(vmid), "--", "env", "-i", *_ENVIRONMENT, *guarded),
            stdin=stdin,
            hold_stdin=True,
            timeout=timeout,
            on_line=arrival.take,
        )
        if not arrival.seen:
            raise own_error(f"pct exec {vmid}", code, arrival.complaints, vmid)
        return code

    async def set_features(self, vmid: int, features: Mapping[str, str | int | bool]) -> None:
        """Set a stopped container's features: nesting, keyctl, fuse, mknod, mount, force_rw_sys.

        Over SSH, since through the API only root's password may set more than nesting, no token may (PVE 9.2,
        observed).
        """
        pairs = (
            f"{name}={int(value) if isinstance(value, bool) else value}" for name, value in features.items()
        )
        await self._host("set", vmid, "--features", ",".join(pairs))

    async def set_options(
        self, vmid: int, options: Mapping[str, str], *, removed: Sequence[str] = ()
    ) -> None:
        """Set and remove what only root's password may, over SSH: bind mounts, devices, the hookscript.

        Args:
            vmid: The container.
            options: `{"mp0": "/srv/media,mp=/media"}`, in Proxmox's words; a value never begins with a dash.
            removed: Names of options to remove.
        """
        if wrong := [name for name, value in options.items() if value.startswith("-") or not value]:
            raise ValueError(f"not a value for {wrong[0]}")
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        arguments += ["--delete", ",".join(removed)] if removed else []
        await self._host("set", vmid, *arguments)

    async def revert(self, vmid: int, keys: Sequence[str]) -> None:
        """Drop changes that wait for the next start, of settings that only root's password may change."""
        await self._host("set", vmid, "--revert", ",".join(keys))

    async def real_path(self, path: str) -> str | None:
        """Follow every link of a host path; None if there is nothing."""
        done = await self._shell.run(("realpath", "-e", "--", path), timeout=HOST_TIMEOUT)
        return done.stdout.strip() if done.exit_code == 0 else None

    async def unlock(self, vmid: int) -> None:
        """Remove a lock that a killed worker left; for a lock whose task still runs this is wrong."""
        await self._host("unlock", vmid)

    async def destroy(self, vmid: int, *, purge: bool = True) -> None:
        """Remove a stopped container and its disks; nothing to do if there is none."""
        try:
            await self._host("destroy", vmid, *(("--purge", "1") if purge else ()))
        except ContainerMissing:
            return

    async def _host(self, verb: str, vmid: int, *arguments: str) -> None:
        done = await self._shell.run(("pct", verb, str(vmid), *arguments), timeout=HOST_TIMEOUT)
        if done.exit_code != 0:
            raise own_error(f"pct {verb} {vmid}", done.exit_code, done.stderr, vmid)


class _Arrival:
    """Waits for the marker that says that the guest was reached; keeps it from the caller."""

    def __init__(self, on_line: OnRawLine) -> None:
        self.marker = f"slipway-{secrets.token_hex(8)}"
        self.seen = False
        self.complaints = ""
        self._on_line = on_line

    async def take(self, stream: Stream, line: bytes) -> None:
        if stream is Stream.STDOUT and not self.seen and line.strip() == self.marker.encode():
            self.seen = True
            return
        if not self.seen:
            self.complaints += line.decode("utf-8", errors="replace")
        await self._on_line(stream, line)


def own_error(command: str, code: int, complaints: str, vmid: int) -> SlipwayError:
    """The error for what `pct` itself says, warnings before it left aside."""
    output = complaints.strip()
    error = next((mapped for line in output.splitlines() if (mapped := sort_text(line))), None)
    error = error or PctFailed(f"{command} failed with code {code}: {output or 'no output'}")
    error.details |= {"vmid": str(vmid), "command": command, "exit_code": str(code)}
    return error
