"""Faults of the machine: the bus's disk full, the bus standing still, a worker whose clock steps."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from chaos import stream
from chaos.processes import Processes
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StorageType, StreamConfig

from support.stack import RunningStack

SMALL_DISK = {
    "SLIPWAY_NATS_MAX_FILE_STORE": "176MB",
    "SLIPWAY_COMMANDS_MAX_BYTES": str(4 << 20),
    "SLIPWAY_EVENTS_MAX_BYTES": str(32 << 20),
    "SLIPWAY_DEAD_LETTERS_MAX_BYTES": str(2 << 20),
    "SLIPWAY_ADVISORIES_MAX_BYTES": str(2 << 20),
    "SLIPWAY_LOCKS_MAX_BYTES": str(2 << 20),
    "SLIPWAY_BUNDLES_MAX_BYTES": str(24 << 20),
    "SLIPWAY_INTEGRATORS_MAX_BYTES": str(8 << 20),
}
"""A bus that can be filled in a moment: the environment of a stack."""
FULL_SECONDS = 6.0
STILL_SECONDS = 4.0
STEPPED_SECONDS = 5.0
STEPS = ("+3600", "-3600", "+0")
"""By how many seconds a worker's clock is off, in turn."""
_SCRATCH = "SCRATCH"
_SUBJECT = "scratch.fill"
_BLOCK = b"x" * (900 << 10)
_MOST_BLOCKS = 400


async def fill_disk(stack: RunningStack) -> str:
    """Fill what the bus may take of the disk with somebody's stream, keep it full a while, free it."""
    async with full_disk(stack) as why:
        await asyncio.sleep(FULL_SECONDS)
    return f"full ({why}) for {FULL_SECONDS:.0f} s"


@asynccontextmanager
async def full_disk(stack: RunningStack) -> AsyncIterator[str]:
    """Keep the bus full in the block; gives what it says then."""
    async with stream.as_admin(stack) as connection:
        bus = connection.jetstream()
        config = StreamConfig(name=_SCRATCH, subjects=[_SUBJECT], storage=StorageType.FILE)
        await bus.add_stream(config)
        try:
            yield await _until_refused(connection)
        finally:
            await bus.delete_stream(_SCRATCH)


async def _until_refused(connection: Client) -> str:
    for _ in range(_MOST_BLOCKS):
        try:
            await connection.jetstream().publish(_SUBJECT, _BLOCK, timeout=5)
        except (NatsError, TimeoutError) as error:
            return str(error)
    raise AssertionError("the bus took everything: it has no limit that a test can reach")


async def hold_messages(processes: Processes) -> str:
    """Stop the bus and let it go on: every message and answer is late, none is lost."""
    pid = await processes.pid("nats")
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(STILL_SECONDS)
    finally:
        os.kill(pid, signal.SIGCONT)
    return f"everything {STILL_SECONDS:.0f} s late"


async def step_clock(processes: Processes) -> str:
    """Step the second provisioner's clock while it alone works; the host's clock is left alone."""
    if processes.clock is None:
        return "no libfaketime here: not made"
    await processes.start_replica()
    first = await processes.pid("provisioner")
    with _stopped(first):
        for step in STEPS:
            processes.clock.write_text(f"{step}\n")
            await asyncio.sleep(STEPPED_SECONDS)
    return f"stepped by {', '.join(STEPS)} s"


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Keep a process stopped; one that was ended meanwhile is none to let go on."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
