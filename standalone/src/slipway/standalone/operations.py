"""The operations of a start that `oneshot` runs: `python -m slipway.standalone.operations NAME ARGUMENTS`.

What each writes is for people. One that fails writes why as its last line, and ends with status 1, or 2 if
what the operator has set has to be corrected.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from typing import Any, NoReturn

from pydantic import ValidationError

from slipway.cli.errors import CommandFailed, WrongInput
from slipway.contracts.problems import SlipwayError
from slipway.runtime.process import logs
from slipway.runtime.process.settings import LogSettings, SettingsProblem, explain
from slipway.standalone.oneshot import OPERATIONS, failure_line


def main(name: str, arguments: Mapping[str, Any]) -> NoReturn:
    """Run one operation; end the process without taking the interpreter apart, for which `up` would wait."""
    status = _status(name, arguments)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status(name: str, arguments: Mapping[str, Any]) -> int:
    operation: Callable[..., Coroutine[Any, Any, None]] = getattr(import_module(OPERATIONS[name]), name)
    logs.configure("slipway", LogSettings(log_level="warning", log_format="text"))
    try:
        asyncio.run(operation(**arguments))
    except CommandFailed as error:
        return _fail(str(error), error.status)
    except (SettingsProblem, SlipwayError) as error:
        return _fail(str(error), CommandFailed.status)
    except ValidationError as error:
        return _fail("; ".join(explain(error)), WrongInput.status)
    return 0


def _fail(text: str, status: int) -> int:
    sys.stdout.write(f"{failure_line(text)}\n")
    return status


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
