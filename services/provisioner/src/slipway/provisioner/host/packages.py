"""Packages: which ones, and the one command per manager that installs all of them."""

import re
from collections.abc import Iterable

from slipway.provisioner.steps.work import Work
from slipway.proxmox.shell import command_line

_APT = "apt-get -q -o DPkg::Lock::Timeout=300"
_KEEP_FILES = "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
"""Files that were deployed before their package win over the package's own."""
_APT_INSTALL = f"{_APT} -y {_KEEP_FILES} -o Dpkg::Use-Pty=0 install --no-install-recommends"
_UPDATE = f"{_APT} -o APT::Update::Error-Mode=any update"
"""Lists that could not be fetched are an error: apt calls it a warning, and then finds no package."""
_INSTALL = {
    "apt": f"export DEBIAN_FRONTEND=noninteractive\n{_UPDATE}\n{_APT_INSTALL} ",
    "apk": "apk add --no-cache ",
    "dnf": "dnf -y install ",
    "pip": "python3 -m pip install --no-input --break-system-packages ",
    "npm": "npm install --global --no-fund --no-audit ",
}
_PASSING = re.compile(
    r"Temporary failure|[Tt]emporary error|[Cc]ould not resolve|[Nn]ame resolution|EAI_AGAIN"
    r"|[Cc]onnection (?:failed|refused|reset|timed out|broken)|ETIMEDOUT|ECONNRESET|ECONNREFUSED"
    r"|[Tt]imed out|[Tt]imeout|Network is unreachable|[Cc]ould not connect|Unable to connect"
    r"|Hash Sum mismatch|File has unexpected size|sync in progress|\b50[0234] +[A-Z]"
    r"|Could not get lock|Unable to (?:acquire|lock)"
)
"""What a network or another program's lock lets pass by itself."""
_FINAL = re.compile(
    r"Unable to locate package|has no installation candidate|unsatisfiable|unable to select packages"
    r"|No matching distribution|No match for argument|E404|unmet dependencies"
)
"""What stays as it is, however often it is tried."""


def wanted(work: Work) -> dict[str, tuple[str, ...]]:
    """Give manager to packages, the template's before those of the request, each once."""
    manifest = work.bundle.manifest if work.bundle else None
    found: dict[str, dict[str, None]] = {}
    for each in (*(manifest.packages if manifest else ()), *work.spec.packages):
        found.setdefault(each.manager, {}).update(dict.fromkeys(each.names))
    return {manager: tuple(names) for manager, names in found.items() if names}


def passing(lines: Iterable[str]) -> str | None:
    """Give the line that says why an installation failed, if that passes by itself; None if it does not."""
    told = [line.strip() for line in lines]
    if any(_FINAL.search(line) for line in told):
        return None
    return next((line for line in reversed(told) if _PASSING.search(line)), None)


def install(manager: str, names: tuple[str, ...]) -> str:
    """Give the script that installs packages; names are quoted by construction."""
    return f"set -e\n{_INSTALL[manager]}{command_line(names)}\n"


def command(manager: str, names: tuple[str, ...]) -> str:
    """Give the command line of the installation itself, as a failure shows it."""
    return install(manager, names).splitlines()[-1]
