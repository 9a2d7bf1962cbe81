"""Files of simulated guests: the template archive, the shims and a guest's own tree.

Folders under the lab's data folder: `shims` (read-only programs laid over `/usr`), `templates`, and one
folder per guest with `root` (its tree), `upper` and `work` (its changes to `/usr`), `units`, `guest.json`.
"""

import io
import shutil
import tarfile
from importlib import resources
from pathlib import Path

from slipway.lab.guests import commands

TEMPLATE = "debian-12-standard_12.0-1_amd64.tar.gz"
NAMES = {
    "apt-get": ("apt", "apt-cache"),
    "dpkg-query": ("dpkg",),
    "su": ("runuser", "sudo"),
    "chown": ("chgrp",),
    "useradd": (
        "adduser", "usermod", "userdel", "deluser", "groupadd", "addgroup", "groupdel", "passwd", "chpasswd",
    ),
}  # fmt: skip
"""A shim's other names."""
UNPACK_SECONDS = 120.0
ON_DEMAND = ("nginx", "psql")
"""Shims that only their package puts on the PATH."""
USR_FOLDERS = (
    "bin", "sbin", "lib/systemd/system", "share",
    "local/bin", "local/sbin", "local/lib", "local/share", "local/etc",
)  # fmt: skip
"""Made in each guest: it may write there although the host's belong to nobody that it knows."""
ROOT_FOLDERS = (
    "etc/systemd/system", "home", "mnt", "media", "opt", "root", "srv", "tmp", "run", "usr",
    "var/lib/lab/packages", "var/log", "var/tmp", "var/cache", "var/www", "var/spool",
)  # fmt: skip
ETC = {
    "os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (simulated by the lab)"\nNAME="Debian GNU/Linux"\n'
    'VERSION_ID="12"\nVERSION="12 (simulated)"\nVERSION_CODENAME=bookworm\nID=debian\n',
    "debian_version": "12.0\n",
    "passwd": "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\nadm:x:4:\nsudo:x:27:\nwww-data:x:33:\nnogroup:x:65534:\n",
    "shadow": "root:*:19000:0:99999:7:::\n",
    "shells": "/bin/sh\n/bin/bash\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "motd": "This is a simulated guest of a Slipway lab: its packages and services are pretended.\n",
    "timezone": "Etc/UTC\n",
}
OWN = ("root", "upper", "units")
"""Folders of a guest that are its disk; `work` is the overlay's."""
HOST_FILES = (
    "resolv.conf", "ld.so.cache", "ssl/certs/ca-certificates.crt", "pki/tls/certs/ca-bundle.crt",
    "protocols", "services",
)  # fmt: skip


def build_template(folder: Path) -> Path:
    """Write the one template archive, unless it is there."""
    archive = folder / TEMPLATE
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = archive.with_suffix(".draft")
        with tarfile.open(draft, "w:gz") as tar:
            for name in ROOT_FOLDERS:
                _add(tar, name, None)
            for name, text in ETC.items():
                _add(tar, f"etc/{name}", text.encode())
        draft.replace(archive)
    return archive


def write_shims(folder: Path) -> None:
    """Lay out the shims as a `/usr`, afresh."""
    shutil.rmtree(folder, ignore_errors=True)
    places = ("bin",) if Path("/usr/sbin").is_symlink() else ("bin", "sbin")
    for place in (*places, "lib/lab"):
        (folder / place).mkdir(parents=True)
    for shim in resources.files(__package__).joinpath("shims").iterdir():
        for place in ("lib/lab",) if shim.name in ON_DEMAND else places:
            path = folder / place / shim.name
            path.write_bytes(shim.read_bytes())
            path.chmod(0o755)
            for other in NAMES.get(shim.name, ()):
                (folder / place / other).symlink_to(shim.name)


async def unpack(template: Path, guest: Path) -> None:
    """Make a guest's tree from a template archive and the few files that come from the host."""
    root = guest / "root"
    root.mkdir(parents=True)
    argv = ["tar", "-C", str(root), "--no-same-owner", "--exclude=./dev/*", "-xf", str(template)]
    await commands.run(argv, timeout_seconds=UNPACK_SECONDS)
    _add_folders(guest)
    _copy_host_files(root)


def _add_folders(guest: Path) -> None:
    for name in USR_FOLDERS:
        (guest / "upper" / name).mkdir(parents=True, exist_ok=True)
    (guest / "work").mkdir()
    (guest / "units").mkdir()


def _copy_host_files(root: Path) -> None:
    for name in HOST_FILES:
        if Path("/etc", name).is_file():
            target = root / "etc" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path("/etc", name), target)
    if Path("/etc/alternatives").is_dir():
        shutil.copytree("/etc/alternatives", root / "etc" / "alternatives", symlinks=True, dirs_exist_ok=True)


def _add(tar: tarfile.TarFile, name: str, content: bytes | None) -> None:
    entry = tarfile.TarInfo(name)
    if content is None:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else 0o755
        tar.addfile(entry)
    else:
        entry.size, entry.mode = len(content), 0o640 if name.endswith("shadow") else 0o644
        tar.addfile(entry, io.BytesIO(content))
