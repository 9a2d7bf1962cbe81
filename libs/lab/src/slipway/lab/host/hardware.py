"""What the node says of itself: the figures of the machine under the lab."""

import os
import platform
import time
from pathlib import Path
from typing import Any

from slipway.lab.host.machine import Machine

RELEASE = "9.2"
VERSION = "9.2.11"
REPO_ID = "14a22df3"
_UNMEASURED = (
    *("arcsize", "iowait", "netin", "netout", "swaptotal", "swapused"),
    *("pressurecpusome", "pressureiofull", "pressureiosome", "pressurememoryfull", "pressurememorysome"),
)
KERNEL = "6.17.4-2-pve"
PCI: tuple[dict[str, Any], ...] = (
    {
        "id": "0000:00:01.0",
        "class": "0x060000",
        "vendor": "0x8086",
        "vendor_name": "Intel Corporation",
        "device": "0x1237",
        "device_name": "440FX - 82441FX PMC [Natoma]",
        "iommugroup": -1,
    },
    {
        "id": "0000:00:02.0",
        "class": "0x030000",
        "vendor": "0x1234",
        "device": "0x1111",
        "iommugroup": -1,
    },
    {
        "id": "0000:00:03.0",
        "class": "0x020000",
        "vendor": "0x1af4",
        "vendor_name": "Red Hat, Inc.",
        "device": "0x1000",
        "device_name": "Virtio network device",
        "iommugroup": -1,
    },
)
"""Those of a virtual machine; a name that the list of PCI ids lacks is left out."""
CHARACTER_DEVICES = (
    *("bus/usb/001/001", "bus/usb/001/002", "console", "dri/card0", "dri/renderD128", "fuse", "kvm"),
    *("net/tun", "null", "ptmx", "random", "tty", "tty0", "urandom", "zero"),
)
"""Below `/dev`; the files that stand there in the folder of the pretend host are devices as well."""
USB = (
    "Bus 001 Device 001: ID 1d6b:0002 Linux Foundation 2.0 root hub",
    "Bus 001 Device 002: ID 0627:0001 Adomax Technology Co., Ltd QEMU Tablet",
)
"""As `lsusb` lists them."""


def mounts(machine: Machine) -> list[str]:
    """Return the lines of `/proc/self/mounts`: the root, what Proxmox mounts, and folders of storages."""
    lines = [
        "sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0",
        "proc /proc proc rw,relatime 0 0",
        "udev /dev devtmpfs rw,nosuid,relatime,mode=755,inode64 0 0",
        "tmpfs /run tmpfs rw,nosuid,nodev,noexec,relatime,mode=755,inode64 0 0",
        "/dev/mapper/pve-root / ext4 rw,relatime,errors=remount-ro 0 0",
        "/dev/sda2 /boot/efi vfat rw,relatime,fmask=0022,dmask=0022 0 0",
        "lxcfs /var/lib/lxcfs fuse.lxcfs rw,nosuid,nodev,relatime,user_id=0,group_id=0,allow_other 0 0",
        "/dev/fuse /etc/pve fuse rw,nosuid,nodev,relatime,user_id=0,group_id=0,default_permissions 0 0",
    ]
    for storage in machine.storages.all():
        if storage.type == "nfs":
            lines.append(f"nas.lan:/export/{storage.name} {storage.path} nfs4 rw,relatime,vers=4.2 0 0")
        elif storage.type == "dir" and storage.path != "/var/lib/vz":
            lines.append(f"/dev/sdb1 {storage.path} ext4 rw,relatime 0 0")
    return lines


def figures(machine: Machine) -> dict[str, Any]:
    """Load, memory, disk and uptime."""
    total, free = memory()
    disk = machine.storages.get("local")
    cpus = os.cpu_count() or 1
    return {
        "cpu": min(1.0, os.getloadavg()[0] / cpus),
        "maxcpu": cpus,
        "mem": total - free,
        "maxmem": total,
        "disk": machine.storages.used_bytes(disk),
        "maxdisk": disk.total_bytes,
        "uptime": int(time.monotonic() - machine.booted),
    }


def status(machine: Machine) -> dict[str, Any]:
    """Everything, as `/nodes/{node}/status` shows it."""
    now = figures(machine)
    total, used = now["maxmem"], now["mem"]
    disk, disk_used = now["maxdisk"], now["disk"]
    return {
        "pveversion": f"pve-manager/{VERSION}/{REPO_ID}",
        "kversion": f"Linux {KERNEL} #1 SMP PREEMPT_DYNAMIC PMX {KERNEL}",
        "current-kernel": {
            "sysname": "Linux",
            "release": KERNEL,
            "version": "#1 SMP",
            "machine": platform.machine(),
        },
        "boot-info": {"mode": "efi", "secureboot": 0},
        "uptime": now["uptime"],
        "idle": 0,
        "cpu": now["cpu"],
        "wait": 0,
        "loadavg": [f"{load:.2f}" for load in os.getloadavg()],
        "cpuinfo": {
            "cpus": now["maxcpu"],
            "cores": now["maxcpu"],
            "sockets": 1,
            "model": platform.processor() or "a lab's",
            "mhz": "2000.000",
            "hvm": "0",
            "user_hz": 100,
            "flags": "",
        },
        "memory": {"total": total, "used": used, "free": total - used, "available": total - used},
        "swap": {"total": 0, "used": 0, "free": 0},
        "rootfs": {"total": disk, "used": disk_used, "free": disk - disk_used, "avail": disk - disk_used},
        "ksm": {"shared": 0},
    }


def averages(machine: Machine) -> dict[str, Any]:
    """The same as one point of `/nodes/{node}/rrddata`."""
    now = figures(machine)
    total, used = now["maxmem"], now["mem"]
    return {
        "cpu": now["cpu"],
        "maxcpu": now["maxcpu"],
        "loadavg": os.getloadavg()[0],
        "memtotal": total,
        "memused": used,
        "memavailable": total - used,
        "roottotal": now["maxdisk"],
        "rootused": now["disk"],
        **dict.fromkeys(_UNMEASURED, 0),
    }


def memory() -> tuple[int, int]:
    """Total and available bytes."""
    amounts = {}
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, amount = line.partition(":")
        amounts[name] = int(amount.split()[0]) * 1024
    return amounts["MemTotal"], amounts.get("MemAvailable", amounts["MemFree"])
