"""What a run is given before its first step."""

import asyncio

import pytest

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.problems import Unavailable
from slipway.contracts.values import JobState
from slipway.provisioner import bundle
from slipway.provisioner.bundle import BundleCache
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.errors import ServiceUnavailable
from support.nats import MakeBus
from support.provisioner_side import Ground, template
from support.waiting import until


async def test_an_archive_is_read_once_for_all_runs(
    make_bus: MakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was used last stays in memory, up to a bound; the rest is read again."""
    bus = await make_bus("catalog")
    names = [await Bundles(bus).put(template(script=f"echo {number}")) for number in range(3)]
    cache = BundleCache(Bundles(bus))
    first = await cache.get(names[0])
    monkeypatch.setattr(bundle, "CACHE_BYTES", 2 * first.size_bytes)

    second, again = await cache.get(names[1]), await cache.get(names[0])
    await cache.get(names[2])

    assert first is again
    assert first is await cache.get(names[0])
    assert second is not await cache.get(names[1])
    assert second == await cache.get(names[1])


async def test_what_a_run_needs_is_asked_for_once_and_side_by_side(ground: Ground) -> None:
    """Neither question waits for the answer to the other."""
    await ground.make(runs=True)
    both = asyncio.Event()
    ground.answers.before_secrets = both.wait
    ground.answers.before_access = both.wait
    running = asyncio.create_task(ground.run(await ground.command(JobKind.STOP)))

    await until(lambda: (ground.answers.asked_for_secrets, ground.answers.asked_for_access) == (1, 1))
    both.set()
    record = await running

    assert record.state is JobState.SUCCEEDED, record.error
    assert (ground.answers.asked_for_secrets, ground.answers.asked_for_access) == (1, 1)


async def test_nothing_is_claimed_while_inventory_refuses(ground: Ground) -> None:
    """A paused Slipway gives a run nothing: it leaves no record, and begins when it is delivered again."""
    await ground.make(runs=True)
    command = await ground.command(JobKind.STOP)

    async def refuse() -> None:
        raise ServiceUnavailable("Slipway is paused.", code="installation.runs-held")

    before, ground.answers.before_secrets = ground.answers.before_secrets, refuse
    with pytest.raises(Unavailable):
        await ground.begin(command)
    stored, was_running = await ground.runs.load(command.job), await ground.is_running()
    ground.answers.before_secrets = before
    record = await ground.run(command)

    assert (stored, was_running) == (None, True)
    assert record.state is JobState.SUCCEEDED, record.error
