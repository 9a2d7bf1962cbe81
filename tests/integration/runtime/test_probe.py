"""`python -m slipway.runtime.process.probe`, as an engine runs it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE

import pytest

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


@pytest.mark.slow
async def test_connection_that_rested_is_used_again() -> None:
    """A reverse proxy sends its next request over a connection that has rested for longer than 5 s."""
    settings = ServiceSettings()
    server = HealthServer(HealthApp(settings, {}, behind=None), settings)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

    answers = []
    async with asyncio.timeout(ANSWER_SECONDS):
        for rest in (0, 6):
            await asyncio.sleep(rest)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: slipway\r\n\r\n")
            answers.append(await reader.readuntil(b"\r\n0\r\n\r\n"))
    writer.close()
    await server.stop()

    assert [answer.split(b"\r\n")[0] for answer in answers] == [b"HTTP/1.1 200 OK"] * 2
