"""Packages: which ones, and the one command per manager that installs all of them."""

from slipway.provisioner.phases.work import Work
from slipway.proxmox.shell import command_line

_APT = "apt-get -q -o DPkg::Lock::Timeout=300"
_KEEP_FILES = "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
"""Files that were deployed before their package win over the package's own."""
_APT_INSTALL = f"{_APT} -y {_KEEP_FILES} -o Dpkg::Use-Pty=0 install --no-install-recommends"
_INSTALL = {
    "apt": f"export DEBIAN_FRONTEND=noninteractive\n{_APT} update\n{_APT_INSTALL} ",
    "apk": "apk add --no-cache ",
    "dnf": "dnf -y install ",
    "pip": "python3 -m pip install --no-input --break-system-packages ",
    "npm": "npm install --global --no-fund --no-audit ",
}
MANAGERS = tuple(_INSTALL)


def wanted(work: Work) -> dict[str, tuple[str, ...]]:
    """Give manager to packages, the template's before those of the request, each once."""
    manifest = work.bundle.manifest if work.bundle else None
    found: dict[str, dict[str, None]] = {}
    for each in (*(manifest.packages if manifest else ()), *work.spec.packages):
        found.setdefault(each.manager, {}).update(dict.fromkeys(each.names))
    return {manager: tuple(names) for manager, names in found.items() if names}


def install(manager: str, names: tuple[str, ...]) -> str:
    """Give the script that installs packages; names are quoted by construction."""
    return f"set -e\n{_INSTALL[manager]}{command_line(names)}\n"


def command(manager: str, names: tuple[str, ...]) -> str:
    """Give the command line of the installation itself, as a failure shows it."""
    return install(manager, names).splitlines()[-1]
