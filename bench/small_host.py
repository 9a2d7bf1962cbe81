"""A small machine: an unprivileged LXC container with one core, little memory and a small disk.

Its root file system is an image of ext4 on a loop device, so that all that it writes is counted and nothing
takes more. Our programs are shown to it read-only, at the paths that they have here; it shares our network,
so what listens in it is reached on loopback. Limits are set for both versions of control groups.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.builds import ROOT
from bench.processes import pss_mib
from slipway.lab.guests.lxc.place import ID_COUNT, ID_FILES, id_range

GROUPS = Path("/sys/fs/cgroup")
RUN = Path("/run")
"""Below it a mapped root may enter; not below somebody's private home."""
MIB = 1024 * 1024
OWN = ("etc", "root", "run", "srv", "tmp", "var", "var/lib", "var/tmp")
EMPTY = ("dev", "proc", "sys", "usr")
ETC = {
    "passwd": "root:x:0:0::/root:/bin/sh\nslipway:x:1000:1000::/:/bin/false\n",
    "group": "root:x:0:\nslipway:x:1000:\n",
    "hosts": "127.0.0.1 localhost\n",
}
START_SECONDS = 20.0
_CONFIG = """\
lxc.uts.name = {name}
lxc.rootfs.path = dir:{root}
lxc.idmap = u 0 {first} {count}
lxc.idmap = g 0 {first} {count}
lxc.apparmor.profile = unconfined
lxc.net.0.type = none
lxc.mount.auto = proc:mixed
lxc.mount.entry = tmpfs dev/shm tmpfs rw,nosuid,nodev,mode=1777,create=dir 0 0
lxc.cgroup.cpu.cfs_period_us = 100000
lxc.cgroup.cpu.cfs_quota_us = 100000
lxc.cgroup2.cpu.max = 100000 100000
lxc.cgroup.memory.limit_in_bytes = {memory}
lxc.cgroup2.memory.max = {memory}
lxc.cgroup2.memory.swap.max = 0
"""


@dataclass(frozen=True, slots=True)
class SmallHost:
    """A running one, and what it uses."""

    name: str
    root: Path
    """Its root file system, as we see it."""
    device: str
    """The loop device of its disk."""
    process: "subprocess.Popen[bytes]"

    def outside(self, path: str) -> Path:
        """Return where we find one of its paths."""
        return self.root / path.removeprefix("/")

    def pids(self) -> Iterator[int]:
        """Return all its processes, by our numbers."""
        for folder in (self._group("memory"), *self._group("memory").rglob("*/")):
            yield from map(int, (folder / "cgroup.procs").read_text().split())

    def memory_mib(self) -> float:
        """Return what its processes and the kernel use for it, without cached files: what must stay."""
        group = self._group("memory")
        stat, is_first = group / "memory.stat", (group / "memory.usage_in_bytes").exists()
        if is_first:
            kernel = int((group / "memory.kmem.usage_in_bytes").read_text())
            return (_entry(stat, "total_rss") + _entry(stat, "total_shmem") + kernel) / MIB
        return sum(_entry(stat, name) for name in ("anon", "shmem", "kernel")) / MIB

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed for want of memory."""
        group = self._group("memory")
        is_first = (group / "memory.oom_control").exists()
        return _entry(group / ("memory.oom_control" if is_first else "memory.events"), "oom_kill")

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used."""
        group = self._group("cpuacct")
        if (group / "cpuacct.usage").exists():
            return int((group / "cpuacct.usage").read_text()) / 1e9
        return _entry(group / "cpu.stat", "usage_usec") / 1e6

    def pss_by_title(self) -> dict[str, float]:
        """Return the proportional set size of its processes in MiB, by the titles that they show."""
        sizes: dict[str, float] = {}
        for pid in self.pids():
            title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            sizes[title] = sizes.get(title, 0.0) + pss_mib(pid)
        return sizes

    def written_mib(self) -> float:
        """Return how much was written to its disk, its journal too."""
        subprocess.run(["sync", "-f", str(self.root)], check=True, timeout=60)
        fields = Path(f"/sys/block/{Path(self.device).name}/stat").read_text().split()
        return int(fields[6]) * 512 / MIB

    def disk_mib(self, *paths: Path) -> float:
        """Return what is taken of its disk, by some paths in it or by all."""
        if paths:
            files = (file for path in paths for file in (path, *path.rglob("*")))
            return sum(_blocks(file) for file in files) * 512 / MIB
        usage = shutil.disk_usage(self.root)
        return usage.used / MIB

    def _group(self, controller: str) -> Path:
        """Return its control group, of either version."""
        first = GROUPS / controller
        return next((first if first.is_dir() else GROUPS).glob(f"**/lxc.payload.{self.name}"))


@contextmanager
def small_host(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    memory_mib: int,
    disk_mib: int,
    replaced: Mapping[Path, str],
    fill: Callable[[Path], None],
) -> Iterator[SmallHost]:
    """Run a command in a small host of its own, with the time of one core, until the block ends.

    Args:
        command: its programs are ours.
        environment: all that the command has.
        memory_mib: the most that its processes, and what they cache, may use.
        disk_mib: the size of its disk.
        replaced: files of ours that it sees with another content.
        fill: puts what it needs besides into its root file system.
    """
    name = f"slipway-small-{secrets.token_hex(3)}"
    first = id_range(ID_FILES[0].read_text())
    assert first is not None, f"root has no range of ids in {ID_FILES[0]}: `slipway.lab.guests.setup apply`"
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=name, dir=RUN)))
        place.chmod(0o755)
        image = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=name))) / "disk"
        root = place / "root"
        device = stack.enter_context(_disk(image, root, disk_mib, owner=first))
        for path in sorted({Path("/usr"), ROOT, Path(sys.base_prefix)}):
            stack.enter_context(_shown(path, root / path.relative_to("/")))
        for number, (path, text) in enumerate(replaced.items()):
            (place / str(number)).write_text(text)
            stack.enter_context(_shown(place / str(number), root / path.relative_to("/")))
        fill(root)
        (place / name).mkdir()
        config = _CONFIG.format(name=name, root=root, first=first, count=ID_COUNT, memory=memory_mib * MIB)
        config += "".join(f"lxc.environment = {key}={value}\n" for key, value in environment.items())
        (place / name / "config").write_text(config)
        lxc = ["-P", str(place), "-n", name]
        with (place / "up.log").open("ab") as output:
            process = subprocess.Popen(
                ["lxc-execute", *lxc, "-o", str(place / "lxc.log"), "-l", "ERROR", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            host = SmallHost(name, root, device, process)
            yield host
        finally:
            if process.poll() is not None:
                print((place / "lxc.log").read_text(), (place / "up.log").read_text()[-3000:], flush=True)
            subprocess.run(["lxc-stop", *lxc, "-k"], check=False, timeout=60)
            process.wait(60)


def wait_for(path: Path, host: SmallHost) -> None:
    """Wait until there is a file.

    Raises:
        AssertionError: if the command ends before, or takes too long.
    """
    deadline = time.monotonic() + 120.0
    while not path.exists():
        assert host.process.poll() is None, f"the command in {host.name} has ended"
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.1)


@contextmanager
def _disk(image: Path, root: Path, size_mib: int, *, owner: int) -> Iterator[str]:
    """Make a disk in a sparse file with what a root file system needs, and mount it."""
    with image.open("wb") as file:
        file.truncate(size_mib * MIB)
    _run("mkfs.ext4", "-q", "-m", "0", "-E", f"root_owner={owner}:{owner}", str(image))
    device = _run("losetup", "--find", "--show", str(image)).strip()
    try:
        root.mkdir()
        _run("mount", device, str(root))
        try:
            for folder in (*OWN, *EMPTY):
                (root / folder).mkdir()
            for folder in OWN:
                os.chown(root / folder, owner, owner)
            for name in ("bin", "lib", "lib64", "sbin"):
                (root / name).symlink_to(Path("usr", name))
            for name, text in ETC.items():
                (root / "etc" / name).write_text(text)
            shutil.copy("/etc/ld.so.cache", root / "etc")
            (root / "tmp").chmod(0o1777)
            yield device
        finally:
            _run("umount", str(root))
    finally:
        _run("losetup", "--detach", device)


@contextmanager
def _shown(path: Path, place: Path) -> Iterator[None]:
    """Show one of our folders or files at a place in a root file system, read-only."""
    if path.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    _run("mount", "--bind", str(path), str(place))
    try:
        _run("mount", "-o", "remount,bind,ro", str(place))
        yield
    finally:
        _run("umount", str(place))


def _run(*command: str) -> str:
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120)
    return ended.stdout


def _blocks(path: Path) -> int:
    try:
        return path.lstat().st_blocks
    except OSError:
        return 0


def _entry(path: Path, key: str) -> int:
    entries = (line.partition(" ") for line in path.read_text().splitlines())
    return next((int(value) for name, _, value in entries if name == key), 0)
