"""The private view of one simulated guest: mounts, root directory, network device.

Runs as the first process of the guest's namespaces, before anything of the guest does. Needs no privilege
outside them. The host's `/usr` is seen through an overlay, so a guest may write there and the host does not
change; nothing else of the host is visible. Invariant: after `enter` the old root is gone from this process.
"""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

_libc = ctypes.CDLL(None, use_errno=True)


def enter(guest: Path, *, hostname: str) -> None:
    """Build the view from the guest's folder (`root`, `upper`, `work`, beside `../shims`), move into it."""
    root = guest / "root"
    mount("", Path("/"), flags=MS_REC | MS_PRIVATE)
    mount(str(root), root, flags=MS_BIND | MS_REC)
    lower = f"{guest.parent / 'shims'}:/usr"
    options = f"lowerdir={lower},upperdir={guest / 'upper'},workdir={guest / 'work'},userxattr"
    mount("overlay", _folder(root / "usr"), kind="overlay", options=options)
    mount(str(guest / "units"), root / "usr/lib/systemd/system", flags=MS_BIND)  # the host's are not its
    for name in MERGED:
        if Path("/", name).is_symlink() and not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    _devices(root)
    _clear(_folder(root / "run"))
    mount("/usr", _folder(root / "run" / "lab" / "host"), flags=MS_BIND)
    mount("proc", _folder(root / "proc"), kind="proc", flags=MS_NOSUID | MS_NODEV)
    _read_only(root / "proc" / "sys")
    _libc.sethostname(hostname.encode(), len(hostname.encode()))
    _pivot(root)


def bring_up(address: str, hwaddr: str) -> None:
    """Give the guest `lo` and an `eth0` with its address, if any; a plain kernel offers one of two kinds."""
    _ip("link", "set", "lo", "up", check=True)
    for kind in ("dummy", "bridge"):
        if _ip("link", "add", "eth0", "address", hwaddr, "type", kind):
            break
    device = "eth0" if Path("/proc/self/net/dev").read_text().find("eth0:") >= 0 else "lo"
    if address:
        # Addresses that begin with 127 are no one else's by default, and the lab's are reached from outside.
        _ip("addr", "add", address, "dev", device, "scope", "global")
    _ip("link", "set", device, "up")


def mount(source: str, target: Path, *, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Call the kernel; an empty word is none."""
    done = _libc.mount(source.encode(), bytes(target), kind.encode() or None, flags, options.encode() or None)
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mounting {kind or source} failed: {os.strerror(code)}", str(target))


def _devices(root: Path) -> None:
    dev = _folder(root / "dev")
    mount("tmpfs", dev, kind="tmpfs", flags=MS_NOSUID, options="mode=755,size=64k")
    for name in DEVICES:
        (dev / name).touch()
        mount(f"/dev/{name}", dev / name, flags=MS_BIND)
    shared = _folder(dev / "shm")
    mount("tmpfs", shared, kind="tmpfs", flags=MS_NOSUID | MS_NODEV, options="mode=1777,size=64m")
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        (dev / name).symlink_to(f"/proc/self/fd{target}")


def _read_only(path: Path) -> None:
    """Keep a guest of root's from changing the kernel's settings."""
    mount(str(path), path, flags=MS_BIND)
    mount("", path, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | 8)


def _pivot(root: Path) -> None:
    os.chdir(root)
    _folder(root / ".host")
    subprocess.run(["pivot_root", ".", ".host"], check=True, timeout=10)  # noqa: S607 - found on the lab's own PATH
    os.chroot(".")
    os.chdir("/")
    if _libc.umount2(b"/.host", MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), "the host's root stayed mounted")
    Path("/.host").rmdir()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _clear(path: Path) -> None:
    for child in path.iterdir():
        shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()


def _ip(*arguments: str, check: bool = False) -> bool:
    done = subprocess.run(["ip", *arguments], check=check, capture_output=True, timeout=10)  # noqa: S603, S607 - fixed words, and the guest's own ip
    return done.returncode == 0
