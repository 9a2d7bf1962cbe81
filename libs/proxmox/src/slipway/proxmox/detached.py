"""Work inside a guest that survives the connection.

Theory of operation. `begin` sends script, environment and a wrapper to a folder of their own in the guest and
starts the wrapper in a session of its own, holding a lock. The wrapper appends the output, as it is, to one
file, and at last writes the exit code to another (`guest/wrapper.sh`). It keeps the timeout itself, so that
it holds without anyone watching. `follow` reads that file from a byte on. Nothing depends on the connection,
on `pct exec` or on this process; a new owner goes on where the last one stopped.

Guarantees: under one key the work runs at most once at a time, and never again once it has an exit code; work
under other keys that still runs is ended first, so that a container has one work at a time. Standard output
and standard error are one pipe, so that each byte is in the file once and in the order of writing, up to a
bound: beyond it the middle is left out, and a line says how much, so that no script fills the guest's disk or
outruns its follower. A line without an end (a prompt, progress that goes back with a carriage return) is
yielded as it is so far. Secrets travel on standard input, into a file that only root can read, and are gone
before the script's first command.

Non-guarantees: which of its two outputs a line was written to is not known. What processes write at the same
time is mixed, as on a terminal. Work that a reboot killed is `Absent`; beginning it again runs it from its
start, and its output is appended. The output of a daemon that outlives the work is dropped.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from slipway.contracts.problems import SlipwayError
from slipway.proxmox.errors import CommandLost, PctFailed, RunLost
from slipway.proxmox.files import archive
from slipway.proxmox.output import Output, OutputReader
from slipway.proxmox.pct import Pct
from slipway.proxmox.shell import exports, guest_script, sh

ROOT = "/var/lib/slipway/runs"
TIMED_OUT = 124
"""The exit code of work that ran out of its own time."""
KILL_GRACE_SECONDS = 10
"""Between TERM and KILL when the time is over."""
KEEP_BYTES = 16 * 1024 * 1024
"""Of a work's output, by default: what is stored in the guest, and followed."""

_LOOK_TIMEOUT = timedelta(seconds=60)
_KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")


@dataclass(frozen=True, slots=True)
class Absent:
    """Never begun, or died without an exit code: begin it (again)."""


@dataclass(frozen=True, slots=True)
class Started:
    """Begun just now."""


@dataclass(frozen=True, slots=True)
class Running:
    """Begun before, and not ended yet."""


@dataclass(frozen=True, slots=True)
class Exited:
    """Ended."""

    code: int


State = Absent | Started | Running | Exited


class Detached:
    """Detached work in one container."""

    def __init__(self, pct: Pct, vmid: int, *, root: str = ROOT) -> None:
        self._pct = pct
        self._vmid = vmid
        self._root = root

    async def begin(
        self,
        key: str,
        *,
        script: str,
        env: Mapping[str, str | SecretStr] | None = None,
        timeout: timedelta,
        keep_bytes: int = KEEP_BYTES,
    ) -> Started | Running | Exited:
        """Begin a script, unless it runs or has ended under this key; other work is ended.

        Args:
            key: Names the work: job, step and index. Letters, digits, `.`, `_` and `-`.
            script: Any script; without `#!` it is one for `sh`. It runs in `/`.
            env: Added to a clean environment.
            timeout: Then it gets TERM, 10 s later KILL, and its exit code is 124.
            keep_bytes: How much of its output is stored, a line counted with 48 bytes more.
        """
        seconds = max(1, round(timeout.total_seconds()))
        arguments = (str(seconds), str(KILL_GRACE_SECONDS), str(keep_bytes))
        state = await self._ask("begin", key, *arguments, stdin=_parcel(script, env or {}))
        if isinstance(state, Absent):
            raise PctFailed("The work was not begun.", key=key, vmid=self._vmid)
        return state

    async def look(self, key: str) -> Absent | Running | Exited:
        """Return where the work stands."""
        return _settled(await self._ask("look", key))

    async def cancel(
        self, key: str, *, grace: timedelta = timedelta(seconds=10)
    ) -> Absent | Running | Exited:
        """Ask its process group to end, and kill it after the grace; return where the work stands then."""
        seconds = max(0, round(grace.total_seconds()))
        return _settled(await self._ask("cancel", key, str(seconds), extra=grace))

    async def follow(
        self, key: str, offset: int = 0, *, deadline: timedelta
    ) -> AsyncGenerator[Output | Exited, None]:
        """Yield each line after a byte of the output as it comes, and at last how the work ended.

        Of a line without an end it yields now and then what it is so far.

        Use it in `contextlib.aclosing`: leaving ends the remote process at once.

        Args:
            key: The work.
            offset: The `end_offset` of the last line known, or 0.
            deadline: How long at most to follow.

        Raises:
            RunLost: It died without an exit code; begin it again.
            CommandLost: The connection died; follow on from the last line.
            CommandTimedOut: It goes on beyond the deadline.
        """
        reader = OutputReader(offset)
        following = asyncio.create_task(self._pump(key, offset, deadline, reader))
        try:
            while (output := await reader.next()) is not None:
                yield output
            await following
            ending = _ending(reader.ending, key)
            if (rest := reader.rest()) is not None:
                yield rest
            yield ending
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _pump(self, key: str, offset: int, deadline: timedelta, reader: OutputReader) -> None:
        argv = sh(guest_script("state", "follow"), self._folder(key), str(offset))
        try:
            await self._pct.stream(self._vmid, argv, timeout=deadline, on_line=reader.take)
        except SlipwayError:
            await reader.finish()
            raise
        await reader.finish()

    async def _ask(
        self, verb: str, key: str, *arguments: str, stdin: bytes = b"", extra: timedelta = timedelta()
    ) -> State:
        done = await self._pct.script(
            self._vmid,
            guest_script("state", verb),
            (self._folder(key), *arguments),
            stdin=stdin,
            timeout=_LOOK_TIMEOUT + extra,
        )
        word, _, code = (done.stdout.splitlines() or [""])[-1].partition(" ")
        states: dict[str, State] = {"absent": Absent(), "running": Running(), "started": Started()}
        if done.exit_code != 0 or not (word in states or code.isdecimal()):
            reason = done.stderr.strip() or f"code {done.exit_code}"
            raise PctFailed(f"The guest does not answer as expected: {reason}", vmid=self._vmid)
        return states[word] if word in states else Exited(int(code))

    def _folder(self, key: str) -> str:
        if not _KEY.match(key):
            raise ValueError(f"not a key for detached work: {key!r}")
        return f"{self._root}/{key}"


def _ending(text: str, key: str) -> Exited:
    """Return how the work ended, by the follower's last word."""
    word, _, code = text.partition(" ")
    if word == "exited" and code.isdecimal():
        return Exited(int(code))
    if word in {"lost", "absent"}:
        raise RunLost("The work in the container died without an exit code.", key=key)
    raise CommandLost("The follower in the guest was cut off.", key=key)


def _settled(state: State) -> Absent | Running | Exited:
    return Running() if isinstance(state, Started) else state


def _parcel(script: str, env: Mapping[str, str | SecretStr]) -> bytes:
    text = script if script.startswith("#!") else f"#!/bin/sh\n{script}"
    plain = {name: v.get_secret_value() if isinstance(v, SecretStr) else v for name, v in env.items()}
    return archive(
        {
            "wrapper": (guest_script("state", "wrapper").encode(), 0o600),
            "env": (exports(plain), 0o600),
            "script": (text.encode(), 0o700),
            "complete": (b"", 0o600),
        }
    )
