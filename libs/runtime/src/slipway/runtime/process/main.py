"""The command line of every service: `serve`, `migrate`, `check`.

A wrong setting is one line that names the environment variable, and exit status 2; a traceback is for bugs
only.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn

import uvloop
from pydantic import ValidationError

from slipway.contracts.problems import SlipwayError
from slipway.runtime.process import logs
from slipway.runtime.process.exit_status import BAD_SETTINGS
from slipway.runtime.process.health import HealthApp
from slipway.runtime.process.service import Service, run
from slipway.runtime.process.settings import LogSettings, SettingsProblem, explain

log = logs.get_logger()


def main(
    service_name: str,
    build: Callable[[], Service],
    *,
    migrate: Callable[[], Awaitable[None]] | None = None,
) -> NoReturn:
    """Run the command line and end the process.

    Args:
        service_name: as on the bus.
        build: reads the settings and assembles the service; does no I/O.
        migrate: brings the service's schema to the newest revision, if it has one.
    """
    parser = argparse.ArgumentParser(prog=f"slipway-{service_name}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run until SIGTERM")
    if migrate is not None:
        commands.add_parser("migrate", help="bring the database schema to the newest revision")
    commands.add_parser(
        "check", help="read the settings, connect to everything once, and report what is missing"
    )
    command = parser.parse_args().command
    try:
        logs.configure(service_name, LogSettings())
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            status = runner.run(_chosen(command, build, migrate))
        _exit(status)
    except ValidationError as error:
        _complain(service_name, *explain(error))
    except SettingsProblem as error:
        _complain(service_name, str(error))
    except SlipwayError as error:
        log.critical("service failed", code=error.code, reason=error.message)
        sys.exit(1)
    except OSError as error:
        log.critical("service failed", reason=str(error))
        sys.exit(1)


def _exit(status: int) -> NoReturn:
    """End without taking the interpreter apart: half a second of work that the kernel does anyway."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


async def _chosen(
    command: str, build: Callable[[], Service], migrate: Callable[[], Awaitable[None]] | None
) -> int:
    if command == "migrate" and migrate is not None:
        await migrate()
        log.info("schema is up to date")
        return 0
    service = build()
    logs.configure(service.name, service.settings)
    return await (run(service) if command == "serve" else check(service))


async def check(service: Service) -> int:
    """Connect to everything the service needs once, without taking work; return 0 when nothing is missing."""
    health = HealthApp(service.settings, service.pings, behind=None)
    try:
        async with asyncio.timeout(10):
            await service.bus.connect()
    except TimeoutError:
        log.warning("bus did not get ready within 10 seconds")
    missing = await health.missing()
    for name, reason in missing.items():
        log.error("dependency missing", name=name, reason=reason)
    if not missing:
        log.info("no dependency missing")
    await service.bus.drain()
    return 1 if missing else 0


def _complain(service: str, *lines: str) -> NoReturn:
    for line in lines:
        sys.stderr.write(f"slipway-{service}: {line}\n")
    sys.exit(BAD_SETTINGS)
