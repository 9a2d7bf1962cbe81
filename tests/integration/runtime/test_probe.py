"""`python -m slipway.runtime.process.probe`, as an engine runs it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE

from slipway.runtime.errors import DatabaseUnavailable
from slipway.runtime.process.health import HealthApp, HealthServer
from slipway.runtime.process.settings import ServiceSettings
from slipway.standalone.embedded.ports import free_port

ANSWER_SECONDS = 10.0


async def _probe(port: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "slipway.runtime.process.probe",
        env={**os.environ, "SLIPWAY_HTTP_PORT": port},
        stderr=PIPE,
    )
    _, output = await process.communicate()
    return process.returncode, output.decode()


async def test_probe_follows_readiness() -> None:
    """0 while nothing is missing; 1 and the reason as soon as something is."""
    away: list[str] = []

    async def ping() -> None:
        if away:
            raise DatabaseUnavailable(away[0])

    settings = ServiceSettings()
    server = HealthServer(HealthApp(settings, {"database": ping}, behind=None), settings)
    await server.start()

    ready = await _probe(str(server.port))
    away.append("The database went home.")
    async with asyncio.timeout(ANSWER_SECONDS):
        while (missing := await _probe(str(server.port)))[0] == 0:  # noqa: ASYNC110 - another process says so
            await asyncio.sleep(0.1)  # a good answer counts for a second
    await server.stop()

    assert ready == (0, "")
    assert missing[0] == 1
    assert "The database went home." in missing[1]


async def test_probe_says_that_nobody_listens() -> None:
    """A port without a service is not ready, in one line."""
    code, output = await _probe(str(free_port()))

    assert code == 1
    assert output.startswith("no answer from port")
    assert output.count("\n") == 1


async def test_probe_wants_a_port() -> None:
    """Without a fixed port there is nobody to ask."""
    code, output = await _probe("")

    assert code == 1
    assert "SLIPWAY_HTTP_PORT" in output
