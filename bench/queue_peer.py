"""The peer of "202 to the first phase": BullMQ, whose Redis writes each command through to the disk."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

from slipway.standalone.embedded.ports import free_port

PACKAGES = ("bullmq@5", "ioredis@5")
JOBS = 50
SECONDS = 180
_SCRIPT = Path(__file__).with_name("queue_peer.mjs")


async def add_to_active() -> str:
    """Say how long BullMQ takes from adding a job to its worker's beginning, or why it was not measured."""
    missing = [program for program in ("redis-server", "node", "npm") if shutil.which(program) is None]
    if missing:
        return f"BullMQ: not measured, {', '.join(missing)} missing"
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        await _run("npm", "install", "--no-audit", "--no-fund", "--prefix", folder, *PACKAGES)
        shutil.copy(_SCRIPT, folder)
        port = str(free_port())
        durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        options = ("--port", port, "--bind", "127.0.0.1", "--dir", folder, *durable)
        redis = await asyncio.create_subprocess_exec(
            "redis-server", *options, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            answer = json.loads(await _run("node", f"{folder}/{_SCRIPT.name}", port, str(JOBS)))
        finally:
            redis.kill()
            await redis.wait()
    return f"BullMQ {answer['version']} with fsync, add to active {answer['p50']:.1f} ms"


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, command
    return output.decode()
