"""Phase sync: packages and scripts, each a piece of work in the guest that survives us."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from pydantic import SecretStr

from slipway.contracts.problems import Failed
from slipway.provisioner.bundle import LIBRARY
from slipway.provisioner.engine.journal import Log, logging
from slipway.provisioner.host import packages
from slipway.provisioner.steps.work import DONE, SKIPPED, Result, Work
from slipway.proxmox.detached import TIMED_OUT, Absent, Exited, Running
from slipway.proxmox.errors import CommandLost, NotRunning, RunLost, SshRefused
from slipway.runtime.secrets.redaction import clean

PACKAGES_TIMEOUT = timedelta(minutes=30)
FOLLOW_SLACK = timedelta(minutes=2)
CANCEL_GRACE = timedelta(seconds=1)
"""Between TERM and KILL: a cancel is done within two seconds."""
REBOOT_SECONDS = 60.0
"""How long a guest may be down in the middle of its work."""
PACKAGE_PAUSES = (3.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds before an installation is tried again whose outage passes: a name not found, a lock of others."""
_LOSSES = 3
"""How often work may die in the guest (a reboot) before the step fails."""
_RECONNECT_SECONDS = 1.0
ResultT = TypeVar("ResultT")


class ScriptFailed(Failed):
    """A script ended with an error."""

    code = "script.failed"


class PackagesFailed(Failed):
    """A package manager ended with an error."""

    code = "packages.failed"


async def install(work: Work, manager: str) -> Result:
    """Install what a manager has to install."""
    names = packages.wanted(work)[manager]
    while True:
        code, complaints = await _run(work, packages.install(manager, names), {}, PACKAGES_TIMEOUT)
        if code == 0:
            return Result(message=f"{len(names)} packages")
        why, tried = packages.passing(work.journal.last_lines), _tried(work)
        if why is None or tried >= len(PACKAGE_PAUSES):
            raise PackagesFailed(
                _told(f"Installing {' '.join(names)} with {manager}", code, complaints),
                command=packages.command(manager, names),
                exit_code=code,
            )
        pause = PACKAGE_PAUSES[tried]
        await work.journal.tell(
            f"{why} That may pass: tried again in {pause:.0f} s ({tried + 1} of {len(PACKAGE_PAUSES)})."
        )
        # Work of its own in the guest, whose lines are counted on from those of the former one.
        log_context = await work.log_context()
        await work.remember(tried=str(tried + 1), log_base=str(log_context.offset))
        work.journal.last_lines.clear()
        await asyncio.sleep(pause)


async def nothing(_work: Work) -> Result:
    """Say that there are no packages to install."""
    return SKIPPED


async def script(work: Work) -> Result:
    """Run one script of the template."""
    name = str(work.step.script if work.step else None)
    if work.bundle is None:
        return SKIPPED
    told = next(each for each in work.bundle.manifest.scripts if each.name == name)
    timeout = timedelta(seconds=told.timeout_seconds)
    code, complaints = await _run(work, work.bundle.script(name), environment(work), timeout)
    if code != 0:
        raise ScriptFailed(
            _told(f"Script {name}", code, complaints), script=name, command=name, exit_code=code
        )
    return DONE


def environment(work: Work) -> Mapping[str, str | SecretStr]:
    """Give what a script finds in its environment."""
    own: dict[str, str | SecretStr] = {
        "SLIPWAY_LIB": LIBRARY,
        "SLIPWAY_CONTAINER_ID": work.target.container,
        "SLIPWAY_HOSTNAME": work.target.hostname,
    }
    own |= {_variable(name): value for name, value in work.spec.variables.items()}
    own |= {
        _variable(key.removeprefix("variable:")): secret
        for key, secret in work.secrets.items()
        if key.startswith("variable:")
    }
    return own


def key_of(work: Work) -> str:
    """Name the running step's work in the guest: a new owner of the run finds it under the same name."""
    tried = _tried(work)
    return f"{work.command.job}.{work.step.name if work.step else ''}" + (f".{tried}" if tried else "")


async def end(work: Work) -> Absent | Running | Exited:
    """End the running step's work in the guest, its whole process group; how it stands then."""
    return await work.detached.cancel(key_of(work), grace=CANCEL_GRACE)


async def _run(
    work: Work, text: str, env: Mapping[str, str | SecretStr], timeout: timedelta
) -> tuple[int, list[str]]:
    """Begin the work unless it was begun, follow it to its end; its code and its last complaints."""
    complaints: deque[str] = deque(maxlen=3)
    async with logging(work.journal, await work.log_context()) as log:
        for _ in range(_LOSSES):
            await _while_it_reboots(
                lambda: work.detached.begin(
                    key_of(work),
                    script=text,
                    env=env,
                    timeout=timeout,
                    keep_bytes=log.bound.guest_bytes,
                )
            )
            try:
                return await _follow(work, log, complaints, timeout + FOLLOW_SLACK), list(complaints)
            except RunLost:
                await work.journal.tell("The work in the guest died without an exit code; it is begun again.")
    raise RunLost(f"The work died {_LOSSES} times without an exit code; does the guest reboot?")


async def _follow(work: Work, log: Log, complaints: deque[str], retry_budget: timedelta) -> int:
    loop = asyncio.get_running_loop()
    ends = loop.time() + retry_budget.total_seconds()
    base = int(work.facts().get("log_base") or 0)

    async def follow() -> int | None:
        following = work.detached.follow(key_of(work), log.offset - base, deadline=retry_budget)
        async with contextlib.aclosing(following) as items:
            async for item in items:
                if isinstance(item, Exited):
                    return item.code
                await log.add(item.stream.value, item.text, base + item.end_offset)
                if item.stream.value == "stderr":
                    complaints.append(item.text)
        return None

    while True:
        try:
            code = await _while_it_reboots(follow)
        except (CommandLost, SshRefused):
            # The work goes on without us; a connection that died is often refused for a while.
            if loop.time() > ends:
                raise
            await asyncio.sleep(_RECONNECT_SECONDS)
        else:
            if code is not None:
                return code


async def _while_it_reboots(act: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Do something in the guest; one that is down may be between two lives."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + REBOOT_SECONDS
    while True:
        try:
            return await act()
        except NotRunning:
            if loop.time() > ends:
                raise
            await asyncio.sleep(_RECONNECT_SECONDS)


def _told(what: str, code: int, complaints: list[str]) -> str:
    why = "ran out of its time" if code == TIMED_OUT else f"ended with code {code}"
    last = str(clean("; ".join(line.strip() for line in complaints if line.strip())))[:500]
    return f"{what} {why}: {last}" if last else f"{what} {why}; its log says what it did."


def _tried(work: Work) -> int:
    """Count how often the running step's work was begun anew after an outage that passes."""
    return int(work.facts().get("tried") or 0)


def _variable(name: str) -> str:
    return f"SLIPWAY_VAR_{name.upper().replace('-', '_')}"
