"""The lab's template archive: Debian 12 with systemd, built once by mmdebstrap into the cache.

It is made from the host's own package sources and carries what the host needs to reach them (sources, proxy,
date checks, extra certificate authorities); no mirror is named here. The package lists stay in it, so that
`apt-get update` in a guest has little to fetch: the lab's own convenience, a standard template has none.
"""

import asyncio
import fcntl
import re
import tempfile
from pathlib import Path

from slipway.lab.guests import commands
from slipway.lab.guests.lxc import place
from slipway.lab.guests.protocol import GuestError

SUITE = "bookworm"
REVISION = 2
"""Raised when another content is wanted, so that an archive of before in the cache is left alone."""
PATTERN = f"debian-12-standard_12.*-{REVISION}_*.tar.zst"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "ifupdown", "iproute2", "iputils-ping", "netbase", "procps",
    "ca-certificates", "curl", "tzdata",
)  # fmt: skip
MASKED = ("sys-kernel-debug.mount", "systemd-udevd.service")
"""Units that fail in a container. Those that take apt's locks at a time of their own stay, as in Debian's."""
BUILD_SECONDS = 900.0
SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources"))
HOST_CERTIFICATES = Path("/usr/local/share/ca-certificates")
APT_OPTIONS = re.compile(
    r"^Acquire::(?:https?::.*Proxy|.*Check-Valid-Until|Check-Date|Languages|https?::.*CaInfo)\S* .*;$",
    re.MULTILINE,
)
"""The host's settings without which its package sources may not work."""


async def ready() -> Path:
    """Return the archive, building it when the cache has none. Labs that start together build it once."""
    folder = place.cache_folder() / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        archives = sorted(folder.glob(PATTERN))
        return archives[-1] if archives else await _build(folder)


async def _build(folder: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
        draft = Path(scratch, "root.tar.zst")
        argv = await _mmdebstrap(Path(scratch), draft)
        await commands.run(argv, timeout_seconds=BUILD_SECONDS)
        version = await asyncio.to_thread(Path(scratch, "version").read_text)
        if not version.startswith("12."):
            raise GuestError(f"the package sources gave Debian {version}, where 12 was asked for")
        architecture = (await commands.run(["dpkg", "--print-architecture"])).strip()
        archive = folder / f"debian-12-standard_{version.strip()}-{REVISION}_{architecture}.tar.zst"
        await asyncio.to_thread(draft.replace, archive)
    return archive


async def _mmdebstrap(scratch: Path, target: Path) -> list[str]:
    options = scratch / "host-apt.conf"
    options.write_text(host_options(await commands.run(["apt-config", "dump"])))
    masks = " && ".join(f'ln -sf /dev/null "$1/etc/systemd/system/{unit}"' for unit in MASKED)
    hooks = [
        masks,
        'rm -f "$1/etc/hostname" "$1/etc/resolv.conf" "$1/etc/machine-id" && : > "$1/etc/machine-id"',
        'echo force-unsafe-io > "$1/etc/dpkg/dpkg.cfg.d/lab"',  # guests are thrown away, so why sync
        f'cp "$1/etc/debian_version" {scratch}/version',
    ]
    if _has_certificates():
        certificates = f'cp {HOST_CERTIFICATES}/*.crt "$1{HOST_CERTIFICATES}/"'
        hooks.insert(0, f'{certificates} && chroot "$1" update-ca-certificates')
    argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", f"--aptopt={options}"]
    argv += ["--skip=cleanup/apt/lists", *(f"--customize-hook={hook}" for hook in hooks), SUITE, str(target)]
    sources = host_sources([path.read_text() for path in SOURCES if path.exists()])
    for number, text in enumerate(sources):
        kind = "sources" if re.search(r"^Types:", text, re.MULTILINE) else "list"
        path = scratch / f"{number}.{kind}"
        path.write_text(text)
        argv.append(str(path))
    return argv


def host_sources(texts: list[str]) -> list[str]:
    """Return the host's Debian sources, speaking of the template's suite; nothing if it has none.

    Without sources mmdebstrap takes Debian's own.
    """
    sources: list[str] = []
    for text in texts:
        suites = re.findall(r"^(?:Suites:\s*|deb\s+(?:\[[^]]*\]\s+)?\S+\s+)([a-z]+)\b", text, re.MULTILINE)
        if suites and "debian" in text:
            sources.append(re.sub(rf"\b{suites[0]}\b", SUITE, text))
    return sources


def host_options(dump: str) -> str:
    """Pick from `apt-config dump` what a guest needs as well."""
    return "".join(f"{found[0]}\n" for found in APT_OPTIONS.finditer(dump))


def _has_certificates() -> bool:
    return any(HOST_CERTIFICATES.glob("*.crt"))


def digest(archive: Path) -> str:
    """Return a name that changes with an archive's content, so that an unpacked copy is found again."""
    status = archive.stat()
    return re.sub(r"\.tar.*$", "", archive.name) + f"-{status.st_size:x}-{status.st_mtime_ns:x}"
