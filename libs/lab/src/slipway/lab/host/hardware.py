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
