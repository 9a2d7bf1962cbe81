"""The boot of a new container: what it waits for, what becomes a warning, and what fails."""

import asyncio
import os
import subprocess
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from slipway.contracts.container_specs import NetworkSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunRecord
from slipway.contracts.values import JobState
from slipway.lab import faults
from slipway.lab.guests.lxc import template
from slipway.lab.node import Lab
from support.lab import running_lab
from support.nats import MakeBus
from support.provisioner_side import Ground, provisioner_on
from support.real_guests import need_real_guests

WAIT = timedelta(seconds=3)
SLOW = "slow.service"
SLOW_UNIT = """[Service]
Type=oneshot
ExecStart=/bin/sleep 120
TimeoutStartSec=infinity
"""


@pytest.fixture
async def hasty(lab: Lab, make_bus: MakeBus, tmp_path: Path) -> AsyncIterator[Ground]:
    """A worker that waits for a boot shortly."""
    async with provisioner_on(lab, make_bus, tmp_path, boot_wait=WAIT) as ground:
        yield ground


async def created(ground: Ground, *networks: NetworkSpec) -> RunRecord:
    """Create a container with these networks."""
    command = await ground.command(JobKind.CREATE)
    spec = command.spec.model_copy(update={"networks": networks or command.spec.networks})
    return await ground.run(command.model_copy(update={"spec": spec}))


def device(number: int = 0, **fields: str | None) -> NetworkSpec:
    """Return a network device."""
    return NetworkSpec.model_validate({"name": f"eth{number}", "bridge": "vmbr0", **fields})


async def test_job_goes_on_beside_a_boot_whose_network_works(hasty: Ground) -> None:
    """A unit that takes long is a warning."""
    hasty.lab.faults.order(faults.NeverReady())

    record = await created(hasty)

    assert record.state is JobState.SUCCEEDED, record.error
    assert any(each.startswith("still-starting: ") for each in record.warnings)


async def test_router_that_is_silent_is_a_warning(hasty: Ground) -> None:
    """Its cause is not DHCP, which answered."""
    record = await created(hasty, device(ip="dhcp", ip6="auto"))

    assert record.state is JobState.SUCCEEDED, record.error
    cause = "net0 has no IPv6 address (auto): no router advertises a prefix on vmbr0"
    assert f"without-address: {cause}" in record.warnings


@pytest.fixture(scope="module")
def slow_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's archive of a real Debian, with a unit that takes two minutes at boot."""
    need_real_guests()
    folder = tmp_path_factory.mktemp("slow")
    wants = folder / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants.parent / SLOW).write_text(SLOW_UNIT)
    (wants / SLOW).symlink_to(f"../{SLOW}")
    tar = ("tar", "--owner=0", "--group=0", "--mtime=@0", "--sort=name")
    archive = folder / "slow-12_1-1.tar"
    subprocess.run(["zstd", "-dqf", asyncio.run(template.ready()), "-o", archive], check=True)
    subprocess.run([*tar, "-C", folder, "-rf", archive, "etc/systemd/system"], check=True)
    # The lab keeps what it unpacked by an archive's size and age.
    os.utime(archive, (0, zlib.crc32(SLOW_UNIT.encode())))
    return archive


@pytest.fixture
async def real(make_bus: MakeBus, slow_archive: Path, tmp_path: Path) -> AsyncIterator[Ground]:
    """A worker that waits for a boot shortly, before real containers."""
    templates = tmp_path / "lab/templates"
    templates.mkdir(parents=True)
    (templates / slow_archive.name).symlink_to(slow_archive)
    async with (
        running_lab(tmp_path / "lab", guests="lxc") as lab,
        provisioner_on(lab, make_bus, tmp_path, boot_wait=timedelta(seconds=8)) as ground,
    ):
        yield ground


@pytest.mark.lxc
async def test_unit_that_takes_minutes_is_named(real: Ground, slow_archive: Path) -> None:
    """Nobody waits for it: the network works."""
    command = await real.command(JobKind.CREATE)
    slow = {"ostemplate": f"local:vztmpl/{slow_archive.name}"}

    record = await real.run(command.model_copy(update={"spec": command.spec.model_copy(update=slow)}))

    assert record.state is JobState.SUCCEEDED, record.error
    assert f"still-starting: {SLOW}" in record.warnings


@pytest.mark.lxc
async def test_second_device_without_a_lease_is_a_warning(real: Ground) -> None:
    """The first one's address is enough."""
    record = await created(real, device(ip="dhcp"), device(1, ip="dhcp"))

    assert record.state is JobState.SUCCEEDED, record.error
    cause = "net1 has no IPv4 address (dhcp): no DHCP server answers on vmbr0"
    assert record.warnings == (f"without-address: {cause}",)


@pytest.mark.lxc
async def test_no_address_at_all_fails_with_its_cause(real: Ground) -> None:
    """It names the setting that would let it wait longer."""
    record = await created(real, device(ip6="auto"))

    assert record.error is not None
    assert record.error.code == "guest.without-network"
    assert "no router advertises a prefix" in record.error.message
    assert "SLIPWAY_BOOT_WAIT" in record.error.message
