"""What a check finds, and running all checks beside each other, each with a deadline.

A check is a function that returns a `Finding`. It changes nothing. It raises `NotChecked` where it could not
do its work, which is no verdict; any other failure that an operator can understand is one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from pydantic import ValidationError

from slipway.cli.errors import CommandFailed
from slipway.client.endpoints import NotRunning
from slipway.client.transport import ApiProblem, ApiUnreachable
from slipway.contracts.problems import SlipwayError
from slipway.runtime.process.settings import SettingsProblem, explain
from slipway.standalone.doctor.installation import Installation

CHECK_SECONDS = 15.0
"""How long one check may take; they run beside each other, so all take no longer."""

_FAILURES = (ApiProblem, CommandFailed, SettingsProblem, SlipwayError, ValidationError, OSError)
_REMEDY = "look at the logs in the data folder (`log/`)"


class State(StrEnum):
    """How what a check looked at is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and will not for ever."""
    FAILED = "failed"
    """Something does not work; the exit status is 1."""
    NOT_CHECKED = "not checked"
    """It could not be looked at; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer of one check."""

    state: State
    message: str
    remedy: str = ""
    """What to do; empty if there is nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One check with its finding."""

    check: str
    finding: Finding

    def document(self) -> dict[str, str]:
        """Return it as JSON has it."""
        return {"check": self.check, **asdict(self.finding)}


class NotChecked(Exception):
    """A check could not do its work; the text says why."""


Check = Callable[[Installation], Awaitable[Finding]]


def ok(message: str) -> Finding:
    """Return that all is well."""
    return Finding(state=State.OK, message=message)


def warning(message: str, remedy: str) -> Finding:
    """Return that something should be seen to."""
    return Finding(state=State.WARNING, message=message, remedy=remedy)


def failed(message: str, remedy: str) -> Finding:
    """Return that something does not work."""
    return Finding(state=State.FAILED, message=message, remedy=remedy)


async def run_checks(checks: Mapping[str, Check], installation: Installation) -> list[Report]:
    """Run all checks; none keeps another one waiting or makes it fail."""
    found = await asyncio.gather(*(_finding(check, installation) for check in checks.values()))
    return [Report(check=name, finding=each) for name, each in zip(checks, found, strict=True)]


async def _finding(check: Check, installation: Installation) -> Finding:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check(installation)
    except (NotChecked, NotRunning, ApiUnreachable) as error:
        return Finding(state=State.NOT_CHECKED, message=str(error))
    except PermissionError as error:
        remedy = "run this as root, or as the user who runs `slipway up`"
        return Finding(state=State.NOT_CHECKED, message=f"{error.filename} can't be read", remedy=remedy)
    except _FAILURES as error:
        return failed(_reason(error), _REMEDY)
    except Exception as error:  # noqa: BLE001 - a check that is wrong itself must not take the others along
        return Finding(state=State.NOT_CHECKED, message=f"the check itself failed: {error!r}")


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {CHECK_SECONDS:.0f} seconds"
        case ValidationError():
            return "; ".join(explain(error))
        case _:
            return str(error)
