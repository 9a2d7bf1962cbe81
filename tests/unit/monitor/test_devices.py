"""Devices and mounted folders of a node, read from what its shell printed."""

from slipway.monitor.facts.devices import COMMAND_LINE, parse

DEVICES = """/dev/null
/dev/dri/renderD128
/dev/dri/card1
/dev/dri/by-path
/dev/nvidiactl
/dev/nvidia0
/dev/nvidia-caps/nvidia-cap1
/dev/ttyUSB0
/dev/ttyS0
/dev/net/tun
/dev/bus/usb/001/001
/dev/bus/usb/001/004
"""
MOUNTS = r"""proc /proc proc rw,relatime 0 0
/dev/mapper/pve-root / ext4 rw,relatime,errors=remount-ro 0 0
/dev/sda2 /boot/efi vfat rw,relatime 0 0
lxcfs /var/lib/lxcfs fuse.lxcfs rw,nosuid 0 0
/dev/fuse /etc/pve fuse rw,nosuid 0 0
rpool/data /rpool/data zfs rw,noatime,xattr,posixacl 0 0
nas:/My\040Films /mnt/My\040Films nfs4 ro,relatime,vers=4.2 0 0
tmpfs /tmp tmpfs rw 0 0
cut off
"""
USB = """Bus 001 Device 004: ID 1a86:55d4 QinHeng Electronics SONOFF Zigbee 3.0 USB Dongle Plus V2
Bus 001 Device 001: ID 1d6b:0002 Linux Foundation 2.0 root hub
"""


def test_devices_that_containers_use_are_found() -> None:
    """Graphics, NVIDIA, serial sticks, USB by its name, and the tunnel; hubs and terminals are left out."""
    devices, _ = parse(f"{DEVICES}\n{MOUNTS}\n{USB}")

    assert [(each.path, each.kind) for each in devices] == [
        ("/dev/bus/usb/001/004", "usb"),
        ("/dev/dri/card1", "gpu"),
        ("/dev/dri/renderD128", "gpu"),
        ("/dev/net/tun", "tun"),
        ("/dev/nvidia-caps/nvidia-cap1", "nvidia"),
        ("/dev/nvidia0", "nvidia"),
        ("/dev/nvidiactl", "nvidia"),
        ("/dev/ttyUSB0", "serial"),
    ]
    assert devices[0].name == "QinHeng Electronics SONOFF Zigbee 3.0 USB Dongle Plus V2"


def test_folders_with_files_of_people_are_found() -> None:
    """Blanks in their names are read; what the kernel and Proxmox make up is left out."""
    _, folders = parse(f"{DEVICES}\n{MOUNTS}\n{USB}")

    assert [(each.path, each.type, each.is_read_only) for each in folders] == [
        ("/", "ext4", False),
        ("/mnt/My Films", "nfs4", True),
        ("/rpool/data", "zfs", False),
    ]
    assert folders[1].source == "nas:/My Films"


def test_output_that_ends_early_is_no_error() -> None:
    """A node without lsusb prints nothing there; one whose shell is strange prints nothing at all."""
    assert parse("") == ((), ())
    assert [each.path for each in parse("/dev/null\n/dev/kvm\n")[0]] == ["/dev/kvm"]


def test_command_is_the_one_that_a_bound_key_allows() -> None:
    """Whoever changes it has to change what the forced command lets through."""
    assert COMMAND_LINE == (
        "sh -c 'find /dev -maxdepth 4 -type c; echo; cat /proc/self/mounts; echo; lsusb 2>/dev/null'"
    )
