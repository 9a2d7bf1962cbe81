"""How the container is recognized that Slipway itself runs in."""

from pathlib import Path

import pytest

from slipway.contracts.container_specs import ContainerSpec, NetworkSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob, Target
from slipway.inventory.containers.own_container import interrupts_us, warnings
from slipway.runtime.process.interfaces import mac_addresses

OWN = frozenset({"BC:24:11:0A:0B:0C"})


def command(kind: JobKind, hwaddr: str | None) -> RunJob:
    """A job on a container with one network device."""
    target = Target(
        container="c1", cluster="k1", node="pve1", vmid=105, hostname="slipway", cluster_name="home"
    )
    networks = (NetworkSpec(bridge="vmbr0", hwaddr=hwaddr),)
    return RunJob(
        kind=kind, job="j1", target=target, spec=ContainerSpec(hostname="slipway", networks=networks)
    )


@pytest.mark.parametrize(
    ("kind", "hwaddr", "expected"),
    [
        (JobKind.SHUTDOWN, "bc:24:11:0a:0b:0c", True),
        (JobKind.BACKUP, "BC:24:11:0A:0B:0C", False),
        (JobKind.SHUTDOWN, "BC:24:11:0A:0B:0D", False),
        (JobKind.SHUTDOWN, None, False),
    ],
)
def test_a_mac_of_ours_and_a_job_that_ends_what_runs(
    kind: JobKind,
    hwaddr: str | None,
    expected: bool,  # noqa: FBT001
) -> None:
    """Both have to be so; letters may be small or capital."""
    job = command(kind, hwaddr)

    assert interrupts_us(job, OWN) is expected
    assert bool(warnings([job], OWN)) is expected


def test_interfaces_without_a_mac_do_not_count(tmp_path: Path) -> None:
    """The loopback has none; a file beside the interfaces is none."""
    for name, address in (("lo", "00:00:00:00:00:00\n"), ("eth0", "bc:24:11:0a:0b:0c\n"), ("tun0", "\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "address").write_text(address)

    assert mac_addresses(tmp_path) == OWN
    assert mac_addresses(tmp_path / "none") == frozenset()
