"""Which of a container's warnings a discovery ends, and which those of its creation outlive the job."""

from collections.abc import Sequence

import pytest
from integration.inventory.test_acceptance import world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture

from slipway.contracts.configs import HostConfig
from slipway.contracts.containers import GetContainer, StoreDiscovery
from slipway.contracts.message import Id
from slipway.contracts.values import CONFIG_UNREAD, DISCOVERY_PENDING, JobState, Power
from slipway.inventory.containers.use_cases import decide_discovery
from slipway.runtime.bus.call import Call
from slipway.runtime.process.clock import now

STARTING = "still-starting: slow.service"
WITHOUT = "without-address: net0 has no IPv6 address (auto): no router advertises a prefix on vmbr0"
ALL = (STARTING, WITHOUT, DISCOVERY_PENDING)
CALL = Call(actor="monitor", correlation_id="c")


@pytest.mark.parametrize(
    ("is_settled", "has_addresses", "left"),
    [
        (False, False, [STARTING, WITHOUT, DISCOVERY_PENDING]),
        (False, True, [STARTING, DISCOVERY_PENDING]),
        (True, False, [WITHOUT]),
        (True, True, []),
    ],
)
async def test_discovery_ends_what_is_over(
    fleet: Fleet,  # noqa: F811
    *,
    is_settled: bool,
    has_addresses: bool,
    left: Sequence[str],
) -> None:
    """A boot that has ended, and an address that has come."""
    container = await made_with(fleet, *ALL)
    discovery = StoreDiscovery(container=container, is_settled=is_settled, has_addresses=has_addresses)

    await fleet.unit.run(CALL, lambda tx: decide_discovery(tx, discovery, {}))

    assert await warnings_of(fleet, container) == left


async def test_config_that_comes_with_a_discovery_is_stored_too(fleet: Fleet) -> None:  # noqa: F811
    """It is what monitor has read just before; a warning that it is not known ends."""
    container = await made_with(fleet, CONFIG_UNREAD, DISCOVERY_PENDING)
    config = HostConfig(read_at=now(), power=Power.RUNNING, hostname="renamed", memory=768)
    discovery = StoreDiscovery(container=container, address="10.0.0.5", config=config)

    await fleet.unit.run(CALL, lambda tx: decide_discovery(tx, discovery, {}))

    stored = await fleet.world.gateway.ask(GetContainer(container=container))
    assert (stored.hostname, stored.spec.memory, stored.power) == ("renamed", 768, Power.RUNNING)
    assert (stored.address, await warnings_of(fleet, container)) == ("10.0.0.5", [])


@pytest.mark.parametrize(
    ("of_job", "left"),
    [(ALL, list(ALL)), ((STARTING, WITHOUT), [WITHOUT]), (("after-restart: tty",), [])],
)
async def test_container_keeps_of_its_creation_what_still_holds(
    fleet: Fleet,  # noqa: F811
    of_job: Sequence[str],
    left: Sequence[str],
) -> None:
    """A creation whose discovery has settled has seen the boot's end."""
    container = await made_with(fleet, *of_job)

    assert await warnings_of(fleet, container) == left


async def made_with(fleet: Fleet, *warnings: str) -> Id:  # noqa: F811
    """Create a container by a job with these warnings."""
    accepted = await fleet.world.create("web")
    await fleet.take(accepted.job.id, JobState.SUCCEEDED, warnings=warnings)
    return accepted.container.id


async def warnings_of(fleet: Fleet, container: Id) -> Sequence[str]:  # noqa: F811
    """Return a container's warnings, but for those of its config."""
    found = await fleet.world.gateway.ask(GetContainer(container=container))
    return [each for each in found.warnings if each != "config-unread"]
