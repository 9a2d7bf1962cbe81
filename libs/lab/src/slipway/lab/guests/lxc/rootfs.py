"""Files that the lab writes into a guest before it boots, as Proxmox's own setup does at every start.

A guest's root may have made a symbolic link of any of them, so none is followed: a link is replaced, and a
folder that is one is refused.
"""

import os
import subprocess
from pathlib import Path

from slipway.lab.guests import commands
from slipway.lab.guests.protocol import GuestError, GuestSpec

HASH_SECONDS = 10.0


def write_settings(root: Path, spec: GuestSpec, *, resolvers: str) -> None:
    """Write host name, hosts, resolver, interfaces and time zone."""
    _write(root, "etc/hostname", f"{spec.hostname.partition('.')[0]}\n")
    _write(root, "etc/hosts", _hosts(spec))
    _write(root, "etc/resolv.conf", _resolver(spec, resolvers))
    _write(root, "etc/network/interfaces", _interfaces(spec))
    if spec.timezone and (root / "usr/share/zoneinfo" / spec.timezone).is_file():
        _link(root, "etc/localtime", f"/usr/share/zoneinfo/{spec.timezone}")


def write_access(root: Path, spec: GuestSpec) -> None:
    """Set root's password and keys, once, at creation."""
    if spec.password:
        shadow = _inside(root, "etc/shadow")
        lines = shadow.read_text().splitlines()
        hashed = _hash(spec.password)
        stored = [f"root:{hashed}:20000:0:99999:7:::" if line.startswith("root:") else line for line in lines]
        _write(root, "etc/shadow", "".join(f"{line}\n" for line in stored), mode=0o640)
    if spec.ssh_public_keys:
        _write(root, "root/.ssh/authorized_keys", spec.ssh_public_keys.rstrip() + "\n", mode=0o600)


def _hosts(spec: GuestSpec) -> str:
    name, dot, _ = spec.hostname.partition(".")
    names = [f"{name}.{domain}" for domain in _items(spec.searchdomain)] if not dot else [spec.hostname]
    full = " ".join([*names, name])
    return f"127.0.0.1 localhost\n127.0.1.1 {full}\n::1 localhost ip6-localhost ip6-loopback\n"


def _resolver(spec: GuestSpec, resolvers: str) -> str:
    lines = [] if spec.nameserver else resolvers.splitlines()
    if spec.searchdomain:
        others = (line for line in lines if not line.startswith("search "))
        lines = [f"search {' '.join(_items(spec.searchdomain))}", *others]
    if spec.nameserver:
        lines += [f"nameserver {server}" for server in _items(spec.nameserver)]
    return "".join(f"{line}\n" for line in lines)


def _items(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").replace(";", " ").split()


def _interfaces(spec: GuestSpec) -> str:
    text = "# The lab sets the addresses before init starts.\nauto lo\niface lo inet loopback\n"
    return text + "".join(
        f"\nauto {network.name}\niface {network.name} inet manual\n" for network in spec.networks
    )


def _hash(password: str) -> str:
    done = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"],  # noqa: S607 - the host's own openssl
        input=password, check=True, capture_output=True, text=True, timeout=HASH_SECONDS,
        env=commands.environment(),
    )  # fmt: skip
    return done.stdout.strip()


def _inside(root: Path, name: str) -> Path:
    """Return the path of a guest's file, with all folders above it proved to be folders."""
    path = root / name
    for folder in reversed(path.relative_to(root).parents):
        if (root / folder).is_symlink():
            raise GuestError(f"/{folder} is a symbolic link in the guest; the lab does not follow it")
    return path


def _write(root: Path, name: str, text: str, *, mode: int = 0o644) -> None:
    path = _inside(root, name)
    _folders(root, path.parent)
    if path.is_symlink() or not path.exists():
        path.unlink(missing_ok=True)
        _create(root, path, mode)
    path.write_text(text)


def _create(root: Path, path: Path, mode: int) -> None:
    owner = root.stat()
    path.touch(mode=mode)
    os.chown(path, owner.st_uid, owner.st_gid)


def _folders(root: Path, folder: Path) -> None:
    if not folder.exists():
        _folders(root, folder.parent)
        folder.mkdir(mode=0o700 if folder.name == ".ssh" else 0o755)
        os.chown(folder, root.stat().st_uid, root.stat().st_gid)


def _link(root: Path, name: str, target: str) -> None:
    path = _inside(root, name)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    os.chown(path, root.stat().st_uid, root.stat().st_gid, follow_symlinks=False)
