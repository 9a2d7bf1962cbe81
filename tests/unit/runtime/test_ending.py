"""A task is over after `end`, even if a cancellation got lost on its way."""

import asyncio

import pytest

from slipway.runtime.process import ending
from slipway.runtime.process.ending import end


async def test_a_loop_that_loses_a_cancellation_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer and the cancellation come at once: Python 3.11 forgets the cancellation."""
    monkeypatch.setattr(ending, "AGAIN_SECONDS", 0.05)
    asked: list[asyncio.Future[None]] = []

    async def ask_again_and_again() -> None:
        while True:
            asked.append(asyncio.get_running_loop().create_future())
            await asyncio.wait_for(asked[-1], 60)

    task = asyncio.create_task(ask_again_and_again())
    await asyncio.sleep(0)
    asked[-1].set_result(None)
    async with asyncio.timeout(5):
        await end(task)
    assert task.cancelled()


async def test_what_a_task_ends_with_is_not_raised() -> None:
    """One may be over already, one may end with an error of its own."""

    async def breaks() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise OSError("on the way out")

    over, broken = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(breaks())
    await asyncio.sleep(0)
    await end(over, broken)
    assert over.done()
    assert isinstance(broken.exception(), OSError)


async def test_nothing_to_end() -> None:
    """No task at all is no error, and nothing to wait for."""
    ending = asyncio.create_task(end())
    await asyncio.sleep(0)

    assert ending.done()
    assert ending.exception() is None
