"""Templates' archives, as runs use them."""

import pytest

from slipway.provisioner import bundle
from slipway.provisioner.bundle import BundleCache
from slipway.runtime.bus.bundles import Bundles
from support.nats import MakeBus
from support.provisioner_side import template


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
