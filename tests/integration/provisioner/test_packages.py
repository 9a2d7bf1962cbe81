"""Packages: what passes is tried again and reported, what does not is reported at once."""

from pathlib import Path
from typing import Any

import pytest

from slipway.contracts.container_specs import PackageSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunRecord
from slipway.contracts.values import JobState
from slipway.lab import faults
from support.lab import running_lab
from support.nats import MakeBus
from support.provisioner_side import Ground, provisioner_on, status_of
from support.real_guests import need_real_guests


async def created(ground: Ground, *names: str) -> RunRecord:
    """Create a container with packages."""
    command = await ground.command(JobKind.CREATE)
    packages = (PackageSpec(manager="apt", names=names),)
    spec = command.spec.model_copy(update={"packages": packages})
    return await ground.run(command.model_copy(update={"spec": spec}))


async def test_what_passes_is_tried_again(ground: Ground) -> None:
    """A name that is not found once: the job goes on, and its log has both tries."""
    ground.lab.faults.order(faults.DnsFails(attempts=1))

    record = await created(ground, "curl")

    lines = await ground.lines()
    assert record.state is JobState.SUCCEEDED, record.error
    assert any("Temporary failure" in line for line in lines)
    assert lines.count("Hit:1 simulated stable InRelease") == 1
    assert any(line.startswith("Unpacking curl") for line in lines)


@pytest.mark.parametrize("lock", ["lists", "archives", "dpkg"])
async def test_lock_of_another_package_manager_is_waited_for(ground: Ground, lock: Any) -> None:
    """Whichever it is; the log says so once, and nothing failed meanwhile."""
    ground.lab.faults.order(faults.AptLocked(lock=lock, seconds=8))

    record = await created(ground, "curl")

    lines = await ground.lines()
    assert record.state is JobState.SUCCEEDED, record.error
    assert len([line for line in lines if line.startswith("Waiting for /var/")]) == 1
    assert not any("Could not get lock" in line for line in lines)


async def test_what_does_not_pass_is_reported_at_once(ground: Ground) -> None:
    """A package that there is not is not looked for again."""
    record = await created(ground, "no-such-package")

    assert record.error is not None
    assert record.error.code == "packages.failed"
    assert "Unable to locate package" in record.error.message
    assert str(record.error.details["command"]).endswith("install --no-install-recommends no-such-package")
    assert status_of(record, "sync.packages.apt") == "failed"
    assert (await ground.lines()).count("Hit:1 simulated stable InRelease") == 1


@pytest.fixture(scope="module")
def with_real_guests() -> None:
    """Real containers can run here."""
    need_real_guests()


@pytest.mark.lxc
async def test_real_apt_meets_no_lock(with_real_guests: None, make_bus: MakeBus, tmp_path: Path) -> None:
    """A new guest whose lists another process holds: apt begins when it is done."""
    del with_real_guests
    async with (
        running_lab(tmp_path / "lab", guests="lxc") as lab,
        provisioner_on(lab, make_bus, tmp_path) as ground,
    ):
        lab.faults.order(faults.AptLocked(lock="lists", seconds=25))
        record = await created(ground, "hello")
        lines = await ground.lines()

    assert record.state is JobState.SUCCEEDED, record.error
    assert len([line for line in lines if line.startswith("Waiting for /var/lib/apt/lists/lock, ")]) == 1
    assert not any("Could not get lock" in line for line in lines)
    assert any(line.startswith("Setting up hello") for line in lines)
