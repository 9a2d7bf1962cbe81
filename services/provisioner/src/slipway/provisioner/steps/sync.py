"""Phase sync: packages and scripts, each a piece of work in the guest that survives this process."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from pydantic import SecretStr

from slipway.contracts.problems import Failed
from slipway.provisioner.bundle import LIBRARY
from slipway.provisioner.engine.facts import StepFacts
from slipway.provisioner.engine.step import DONE, SKIPPED, EndAct, Result
from slipway.provisioner.engine.step_log import StepLog, open_log
from slipway.provisioner.host import discovery, packages, site
from slipway.provisioner.host.work import Work
from slipway.proxmox.detached import TIMED_OUT, Absent, Exited, Running
from slipway.proxmox.errors import CommandLost, NotRunning, RunLost, SshRefused
from slipway.runtime.retry import Deadline

PACKAGES_TIMEOUT = timedelta(minutes=30)
FOLLOW_SLACK = timedelta(minutes=2)
CANCEL_GRACE = timedelta(seconds=1)
"""Between TERM and KILL: a cancel is done within two seconds."""
REBOOT_SECONDS = 60.0
"""How long a guest may be down in the middle of its work."""
PACKAGE_PAUSES = (3.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds before an installation is tried again after a failure that passes by itself."""
LAST_WORDS = 3
"""Lines of its output that the failure of a script names."""
LONGEST_LAST_WORDS = 500
_LOSSES = 3
"""How often work may die in the guest (a reboot) before the step fails."""
_RECONNECT_SECONDS = 1.0
ResultT = TypeVar("ResultT")


class SyncFacts(StepFacts):
    """The work of a step in the guest."""

    tried: int = 0
    """How often it was begun anew after a failure that passes."""
    log_base: int = 0
    """The offset of the step's log at which the present work's own output begins."""


class ScriptFailed(Failed):
    """A script ended with an error."""

    code = "script.failed"


class PackagesFailed(Failed):
    """A package manager ended with an error."""

    code = "packages.failed"


async def install(work: Work, manager: str) -> Result:
    """Install what a manager has to install."""
    names = packages.by_manager(work)[manager]
    while True:
        code = await _run(
            work, packages.install(manager, names), site.environment(work.spec.guest), PACKAGES_TIMEOUT
        )
        if code == 0:
            return Result(message=f"{len(names)} packages")
        reason, tried = packages.transient_failure(work.journal.last_lines), work.facts(SyncFacts).tried
        if reason is None or tried >= len(PACKAGE_PAUSES):
            raise PackagesFailed(
                _failure(work, f"Installing {' '.join(names)} with {manager}", code),
                command=packages.failed_command(manager, names, work.journal.last_lines),
                exit_code=code,
            )
        pause = PACKAGE_PAUSES[tried]
        await work.journal.report(
            f"{reason} That may pass: tried again in {pause:.0f} s ({tried + 1} of {len(PACKAGE_PAUSES)})."
        )
        # New work in the guest, whose lines are counted from the last line of the former work.
        await work.remember(SyncFacts(tried=tried + 1, log_base=(await work.log_context()).offset))
        work.journal.last_lines.clear()
        await asyncio.sleep(pause)


async def nothing(_work: Work) -> Result:
    """Install nothing: there are no packages."""
    return SKIPPED


async def script(work: Work, name: str) -> Result:
    """Run one script of the template."""
    if work.bundle is None:
        return SKIPPED
    manifest = next(each for each in work.bundle.manifest.scripts if each.name == name)
    timeout = timedelta(seconds=manifest.timeout_seconds)
    code = await _run(work, work.bundle.script(name), environment(work), timeout)
    if code != 0:
        raise ScriptFailed(_failure(work, f"Script {name}", code), script=name, command=name, exit_code=code)
    return DONE


def environment(work: Work) -> Mapping[str, str | SecretStr]:
    """Return the environment of a script."""
    own: dict[str, str | SecretStr] = {
        **site.environment(work.spec.guest),
        "SLIPWAY_LIB": LIBRARY,
        "SLIPWAY_CONTAINER_ID": work.target.container,
        "SLIPWAY_HOSTNAME": work.target.hostname,
    }
    variables: Mapping[str, str | SecretStr] = {**work.spec.variables, **work.secret_variables}
    return own | {f"SLIPWAY_VAR_{name.upper().replace('-', '_')}": value for name, value in variables.items()}


def key_of(work: Work) -> str:
    """Return the key of the running step's work in the guest: a later owner finds it by the same key."""
    tried = work.facts(SyncFacts).tried
    return f"{work.command.job}.{work.step_name}" + (f".{tried}" if tried else "")


async def cancel(work: Work, end_act: EndAct) -> None:
    """End the running step's work in the guest, and its act meanwhile: reconnecting may take too long."""
    state, _ = await asyncio.gather(end(work), end_act())
    if isinstance(state, Absent):
        # It may have been on its way into the guest.
        await end(work)


async def end(work: Work) -> Absent | Running | Exited:
    """End the running step's work in the guest, its whole process group; return its state then."""
    return await work.detached.cancel(key_of(work), grace=CANCEL_GRACE)


async def _run(work: Work, text: str, env: Mapping[str, str | SecretStr], timeout: timedelta) -> int:
    """Begin the work unless it was begun, follow it to its end; return its exit code."""
    await discovery.announce(work)
    async with open_log(work.journal, await work.log_context()) as log:
        for _ in range(_LOSSES):
            await _while_it_reboots(
                lambda: work.detached.begin(
                    key_of(work), script=text, env=env, timeout=timeout, keep_bytes=log.bound.guest_bytes
                )
            )
            try:
                return await _follow(work, log, timeout + FOLLOW_SLACK)
            except RunLost:
                await work.journal.report(
                    "The work in the guest died without an exit code and is begun again."
                )
    raise RunLost(f"The work died {_LOSSES} times without an exit code; does the guest reboot?")


async def _follow(work: Work, log: StepLog, limit: timedelta) -> int:
    deadline = Deadline(limit.total_seconds())
    base = work.facts(SyncFacts).log_base

    async def follow() -> int | None:
        following = work.detached.follow(key_of(work), log.offset - base, deadline=limit)
        async with contextlib.aclosing(following) as items:
            async for item in items:
                if isinstance(item, Exited):
                    return item.code
                if item.is_unfinished:
                    log.show_unfinished(item.text)
                else:
                    await log.add("stdout", item.text, base + item.end_offset)
        return None

    while True:
        try:
            code = await _while_it_reboots(follow)
        except (CommandLost, SshRefused):
            # The work goes on without a connection; one that died is often refused for a while.
            if deadline.has_passed:
                raise
            await asyncio.sleep(_RECONNECT_SECONDS)
        else:
            if code is not None:
                return code


async def _while_it_reboots(act: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Do something in the guest; one that is down may be rebooting."""
    deadline = Deadline(REBOOT_SECONDS)
    while True:
        try:
            return await act()
        except NotRunning:
            if deadline.has_passed:
                raise
            await asyncio.sleep(_RECONNECT_SECONDS)


def _failure(work: Work, what: str, code: int) -> str:
    how = "ran out of its time" if code == TIMED_OUT else f"ended with code {code}"
    lines = [line.strip() for line in work.journal.last_lines if line.strip()]
    last = "; ".join(lines[-LAST_WORDS:])[-LONGEST_LAST_WORDS:]
    return f"{what} {how}: {last}" if last else f"{what} {how}; its log says what it did."
