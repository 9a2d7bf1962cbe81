"""Run what a start needs once, each operation in a process that ends with it.

`up` runs for months. The libraries that a start takes (clients of the bus and the database, migrations, HTTP)
would stay in its memory, and the secrets that pass through them; so only such a process imports them.
"""

import json
import os
from collections.abc import Mapping
from types import MappingProxyType

from slipway.cli.errors import CommandFailed, WrongInput
from slipway.cli.terminal import say
from slipway.standalone.environment import plain_environment
from slipway.standalone.forks import Command, Forks, ProcessFailed
from slipway.standalone.supervisor import kill_group

OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        "make_keys": "slipway.standalone.keys",
        "protect": "slipway.standalone.upgrade.protect",
        "declare": "slipway.standalone.declare",
        "prepare_certificate": "slipway.standalone.certificates",
        "renew_certificate": "slipway.standalone.acme",
        "await_stack": "slipway.standalone.readiness",
    }
)
"""A function to its module."""
_FAILURE = "failure"


async def run_once(forks: Forks, operation: str, **arguments: object) -> None:
    """Run one of `OPERATIONS` to its end; what it writes is ours.

    Args:
        forks: where its process comes from.
        operation: the name of the function.
        arguments: of the function; no secret among them, and all can be JSON.

    Raises:
        CommandFailed: what an operator can understand as the reason why it failed.
    """
    command = Command(
        name=operation,
        arguments=("-m", "slipway.standalone.operations", operation, json.dumps(arguments)),
        environment=_environment(),
        needs=OPERATIONS[operation],
    )
    process = await forks.launch(command)
    failure = None
    try:
        async for line in process.lines():
            failure = _failure(line)
            if failure is None:
                say(line)
        status = await process.wait()
    finally:
        kill_group(process.pid)
    if failure is not None:
        raise WrongInput(failure) if status == WrongInput.status else CommandFailed(failure)
    if status != 0:
        raise ProcessFailed(f"the operation {operation!r} of the start ended with status {status}")


def failure_line(text: str) -> str:
    """Return the last line of an operation that failed."""
    return json.dumps({_FAILURE: text})


def _failure(line: str) -> str | None:
    if not line.startswith(f'{{"{_FAILURE}":'):
        return None
    text: str = json.loads(line)[_FAILURE]
    return text


def _environment() -> dict[str, str]:
    """Return our own settings: an operation is a part of `up`."""
    return plain_environment() | {
        name: value for name, value in os.environ.items() if name.startswith("SLIPWAY_")
    }
