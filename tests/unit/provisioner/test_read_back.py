"""What was asked for is compared with what Proxmox's config says."""

from typing import Any

import pytest

from slipway.contracts.container_specs import ContainerSpec, MountSpec, NetworkSpec
from slipway.contracts.jobs import Target
from slipway.provisioner.host import parameters
from slipway.proxmox.answers import ContainerConfig

TARGET = Target(container="c1", cluster="k1", cluster_name="home", node="pve1", vmid=101, hostname="web")
SPEC = ContainerSpec(
    hostname="web",
    cores=2,
    cpulimit=1.5,
    cpuunits=200,
    memory=512,
    swap=0,
    disk=4,
    storage="local",
    unprivileged=True,
    onboot=False,
    protection=True,
    startup="order=2,up=10",
    timezone="Europe/Berlin",
    cmode="shell",
    console=False,
    tty=1,
    arch="amd64",
    ostype="debian",
    features={"nesting": True, "fuse": False},
    env={"A": "1", "B": "2"},
    tags=("Web",),
    mounts=(MountSpec(storage="local", size=1, path="/data/"),),
    networks=(NetworkSpec(name="eth0", bridge="vmbr0", ip="dhcp"),),
)
"""Everything that can be read back."""
CONFIG: dict[str, Any] = {
    "digest": "d",
    "hostname": "web",
    "cores": 2,
    "cpulimit": "1.5",
    "cpuunits": 200,
    "memory": 512,
    "swap": 0,
    "rootfs": "local:101/vm-101-disk-0.raw,size=4G",
    "mp0": "local:101/vm-101-disk-1.raw,mp=/data,size=1G",
    "unprivileged": 1,
    "protection": 1,
    "startup": "order=2,up=10",
    "timezone": "Europe/Berlin",
    "cmode": "shell",
    "console": 0,
    "tty": 1,
    "arch": "amd64",
    "ostype": "debian",
    "features": "nesting=1",
    "env": "A=1\0B=2",
    "tags": "web",
    "net0": parameters.network(SPEC.networks[0], TARGET, 0),
}
"""The same as Proxmox reports it."""


def differing(**changes: Any) -> tuple[str, ...]:
    """What differs if Proxmox's config had these values; None leaves one out."""
    values = {key: value for key, value in (CONFIG | changes).items() if value is not None}
    return parameters.differences(SPEC, ContainerConfig.model_validate(values), TARGET)


def test_nothing_differs() -> None:
    """A config that says the same differs in nothing; what is false or 0 may be left out."""
    assert differing() == ()
    assert differing(swap=None) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cpulimit": None}, "cpulimit"),
        ({"cpuunits": 100}, "cpuunits"),
        ({"onboot": 1}, "onboot"),
        ({"startup": "order=2"}, "startup"),
        ({"timezone": None}, "timezone"),
        ({"cmode": None}, "cmode"),
        ({"console": None}, "console"),
        ({"tty": 2}, "tty"),
        ({"features": None}, "features.nesting"),
        ({"env": "A=1"}, "env"),
        ({"tags": None}, "tags"),
        ({"rootfs": "local:101/vm-101-disk-0.raw,size=2G"}, "rootfs.size"),
        ({"rootfs": "other:101/vm-101-disk-0.raw,size=4G"}, "rootfs"),
        ({"mp0": None}, "mp0"),
        ({"mp0": "local:101/vm-101-disk-1.raw,mp=/other,size=1G"}, "mp0"),
        ({"net0": "name=eth0,bridge=vmbr1,ip=dhcp,type=veth"}, "net0.bridge"),
    ],
)
def test_each_is_compared(changes: dict[str, Any], expected: str) -> None:
    """What is not as it was asked for is named."""
    assert expected in differing(**changes)
