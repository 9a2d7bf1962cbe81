"""Packages: which ones, and the one command per manager that installs all of them."""

import re
from collections.abc import Iterable

from slipway.provisioner.host.work import Work
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
"""Failures of a network, or because of another program's lock, that pass by themselves."""
_FINAL = re.compile(
    r"Unable to locate package|has no installation candidate|unsatisfiable|unable to select packages"
    r"|No matching distribution|No match for argument|E404|unmet dependencies"
)
"""Failures that stay, however often it is tried."""


def by_manager(work: Work) -> dict[str, tuple[str, ...]]:
    """Return the packages by manager, the template's before those of the request, each once."""
    manifest = work.bundle.manifest if work.bundle else None
    names: dict[str, dict[str, None]] = {}
    for each in (*(manifest.packages if manifest else ()), *work.spec.packages):
        names.setdefault(each.manager, {}).update(dict.fromkeys(each.names))
    return {manager: tuple(some) for manager, some in names.items() if some}


def transient_failure(lines: Iterable[str]) -> str | None:
    """Return the line that says why an installation failed, if that passes by itself; None if it does not."""
    stripped = [line.strip() for line in lines]
    if any(_FINAL.search(line) for line in stripped):
        return None
    return next((line for line in reversed(stripped) if _PASSING.search(line)), None)


def install(manager: str, names: tuple[str, ...]) -> str:
    """Return the script that installs packages; names are quoted by construction."""
    return f"set -e\n{_INSTALL[manager]}{command_line(names)}\n"


def command(manager: str, names: tuple[str, ...]) -> str:
    """Return the command line of the installation itself, as a failure shows it."""
    return install(manager, names).splitlines()[-1]
