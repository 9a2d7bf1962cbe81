"""Readiness is open to anyone, so that it must cost nothing."""

import asyncio

import httpx

from slipway.runtime.errors import BusUnavailable
from slipway.runtime.process.health import HealthApp
from slipway.runtime.process.settings import ServiceSettings


class Counted:
    """A ping that counts, and fails until set otherwise."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_there = False

    async def __call__(self) -> None:
        """Answer in a moment."""
        self.asked += 1
        await asyncio.sleep(0)
        if not self.is_there:
            raise BusUnavailable("away")


async def test_one_check_answers_all_who_ask_at_once() -> None:
    """What is missing is looked at again soon, for who waits for a start; "ready" is good for a second."""
    ping = Counted()
    app = HealthApp(ServiceSettings(), {"bus": ping}, behind=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        missing = await asyncio.gather(*(client.get("/readyz") for _ in range(20)))
        ping.is_there = True
        async with asyncio.timeout(5):
            while not (await client.get("/readyz")).is_success:  # noqa: ASYNC110 - it is what is tested
                await asyncio.sleep(0.01)
        ready = [await client.get("/readyz") for _ in range(20)]

    assert {answer.status_code for answer in missing} == {503}
    assert {answer.status_code for answer in ready} == {200}
    assert ping.asked == 2


async def test_what_is_short_is_named_and_the_service_stays_ready() -> None:
    """Whoever is sent elsewhere because the bus is almost full could not stop what fills it."""
    ping = Counted()
    ping.is_there = True
    app = HealthApp(ServiceSettings(), {"bus": ping}, behind=None, shortages=lambda: {"bus.full": "90 %"})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "degraded", "missing": {}, "degraded": {"bus.full": "90 %"}},
    )
