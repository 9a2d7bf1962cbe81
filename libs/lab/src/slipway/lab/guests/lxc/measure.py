"""What a running guest uses, from its control group (either version) and from `/proc`."""

from pathlib import Path

from slipway.lab.guests import proc
from slipway.lab.guests.protocol import Usage

CGROUPS = Path("/sys/fs/cgroup")


def usage(pid: int, *, name: str, disk_bytes: int) -> Usage:
    """Read everything for the guest whose init is `pid`; `name` is its name in LXC."""
    groups = _groups(Path(f"/proc/{pid}/cgroup").read_text(), name)
    memory, cpu = groups["memory"], groups["cpuacct"]
    received, sent = proc.traffic(Path(f"/proc/{pid}/net/dev").read_text(), counts_lo=False)
    return Usage(
        pid=pid,
        uptime_seconds=proc.uptime_seconds(pid),
        cpu_seconds=_cpu_seconds(cpu),
        memory_bytes=_memory_bytes(memory),
        swap_bytes=_number(memory / "memory.swap.current"),
        disk_bytes=disk_bytes,
        net_in_bytes=received,
        net_out_bytes=sent,
    )


def _groups(text: str, name: str) -> dict[str, Path]:
    """Find the guest's own groups: init lies deeper, so the path is cut after the part LXC made."""
    found: dict[str, Path] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        parts = Path(path).parts[1:]
        cut = next((number for number, part in enumerate(parts, 1) if name in part), len(parts))
        own = Path(*parts[:cut]) if parts else Path()
        for controller in controllers.split(",") if controllers else ("memory", "cpuacct"):
            mounted = CGROUPS / controller / own if controllers else CGROUPS / own
            if controllers or controller not in found:
                found[controller] = mounted
    return found


def _cpu_seconds(group: Path) -> float:
    if (group / "cpuacct.usage").exists():
        return _number(group / "cpuacct.usage") / 1e9
    return _entry(group / "cpu.stat", "usage_usec") / 1e6


def _memory_bytes(group: Path) -> int:
    """Count what is in use without file contents that could be dropped, as Proxmox does."""
    if (group / "memory.usage_in_bytes").exists():
        used, idle = "memory.usage_in_bytes", "total_inactive_file"
    else:
        used, idle = "memory.current", "inactive_file"
    return max(0, _number(group / used) - _entry(group / "memory.stat", idle))


def _number(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def _entry(path: Path, key: str) -> int:
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0
