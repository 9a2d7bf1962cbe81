"""What `pct set` has to change for a container to be as it was asked for."""

from slipway.contracts.container_specs import MountSpec
from slipway.provisioner.steps.host_access import HostSettings, changed
from slipway.proxmox.answers import ContainerConfig

VOLUME = "local-lvm:vm-100-disk-1,mp=/data,size=4G"


def config(**options: str) -> ContainerConfig:
    """A config as Proxmox answers it."""
    return ContainerConfig.model_validate(
        {"digest": "1", "rootfs": "local-lvm:vm-100-disk-0,size=4G", **options}
    )


def host_settings(*mounts: MountSpec) -> HostSettings:
    """Bind mounts only."""
    return HostSettings(mounts=mounts, devices=None, hookscript=None)


def test_a_bind_mount_takes_a_free_number_and_the_place_where_it_ends() -> None:
    """Volumes keep theirs."""
    asked = MountSpec(storage="/srv/link", path="/media/", readonly=True)

    changes, gone = changed(host_settings(asked), {"/srv/link": "/srv/media"}, config(mp0=VOLUME))

    assert (changes, gone) == ({"mp1": "/srv/media,mp=/media,ro=1"}, [])


def test_a_bind_mount_keeps_its_number() -> None:
    """What is so already is not set again; what is not asked for any more goes, volumes never."""
    asked = MountSpec(storage="/srv/a", path="/a")
    there = config(mp0="/srv/b,mp=/b", mp1=VOLUME, mp2="/srv/a,mp=/a")

    assert changed(host_settings(asked), {"/srv/a": "/srv/a"}, there) == ({}, ["mp0"])
    assert changed(host_settings(), {}, there) == ({}, ["mp0", "mp2"])


def test_devices_and_hookscript() -> None:
    """Devices are given whole; an empty hookscript takes it away, none leaves it."""
    there = config(dev0="path=/dev/kvm,mode=0660", dev1="/dev/fuse", hookscript="local:snippets/a")
    asked = HostSettings(mounts=None, devices=("/dev/kvm,mode=0660",), hookscript="")

    assert changed(asked, {}, there) == ({}, ["dev1", "hookscript"])
    assert changed(HostSettings(mounts=None, devices=None, hookscript=None), {}, there) == ({}, [])
