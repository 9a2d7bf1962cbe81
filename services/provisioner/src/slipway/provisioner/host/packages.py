"""Packages: which ones, and the one command per manager that installs all of them."""

import re
from collections.abc import Iterable

from slipway.provisioner.host.work import Work
from slipway.proxmox.shell import command_line

LOCKS = r"""
PACKAGE_LOCKS='/var/lib/apt/lists/lock /var/cache/apt/archives/lock
/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock
/lib/apk/db/lock /usr/lib/apk/db/lock
/var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock /run/dnf/rpmtransaction.lock'
PACKAGE_LOCK_SECONDS=300

# package_lock    print a package manager's lock that is held, and by which process
package_lock() {
    [ -r /proc/locks ] || return 1
    while read -r _ _ _ _ pid _; do
        for open in "/proc/$pid/fd/"*; do
            for lock in $PACKAGE_LOCKS; do
                [ "$open" -ef "$lock" ] || continue
                printf '%s, held by process %s (%s)\n' "$lock" "$pid" "$(cat "/proc/$pid/comm" 2>/dev/null)"
                return 0
            done
        done
    done </proc/locks
    return 1
}

# when_unlocked COMMAND...    once no other package manager is at work; again if one came in between
when_unlocked() (
    left=$PACKAGE_LOCK_SECONDS said=
    while :; do
        while held=$(package_lock); do
            if [ "$left" -le 0 ]; then
                waited="still after $PACKAGE_LOCK_SECONDS s"
                printf 'error: %s, %s: "%s" was not run\n' "$held" "$waited" "$*" >&2
                return 75
            fi
            [ "$said" ] || printf 'Waiting for %s\n' "$held"
            said=yes
            sleep 1
            left=$((left - 1))
        done
        code=0
        "$@" || code=$?
        [ "$code" -ne 0 ] || return 0
        if [ "$left" -le 0 ] || ! package_lock >/dev/null; then break; fi
        left=$((left - 1))
    done
    printf 'error: "%s" ended with code %s\n' "$*" "$code" >&2
    return "$code"
)
"""
"""The same as in the library for template scripts. It asks the kernel who holds a lock, since apt waits for
dpkg's locks only (`DPkg::Lock::Timeout`), and not for those of its lists and its downloads."""
_APT = "apt-get -q -o DPkg::Lock::Timeout=300"
_KEEP_FILES = "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
"""Files that were deployed before their package win over the package's own."""
_APT_INSTALL = f"{_APT} -y {_KEEP_FILES} -o Dpkg::Use-Pty=0 install --no-install-recommends"
_UPDATE = f"{_APT} -o APT::Update::Error-Mode=any update"
"""Lists that could not be fetched are an error: apt calls it a warning, and then finds no package."""
_INSTALL = {
    "apt": f"export DEBIAN_FRONTEND=noninteractive\nwhen_unlocked {_UPDATE}\nwhen_unlocked {_APT_INSTALL} ",
    "apk": "when_unlocked apk --wait 300 add --no-cache ",
    "dnf": "when_unlocked dnf -y install ",
    "pip": "python3 -m pip install --no-input --break-system-packages ",
    "npm": "npm install --global --no-fund --no-audit ",
}
_FAILED = re.compile(r'^error: .*"(?P<command>[^"]+)" (?:ended with code \d+|was not run)$')
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
    stripped = [line.strip() for line in lines if not _FAILED.search(line)]
    if any(_FINAL.search(line) for line in stripped):
        return None
    return next((line for line in reversed(stripped) if _PASSING.search(line)), None)


def install(manager: str, names: tuple[str, ...]) -> str:
    """Return the script that installs packages; names are quoted by construction."""
    return f"set -e\n{LOCKS}{_INSTALL[manager]}{command_line(names)}\n"


def failed_command(manager: str, names: tuple[str, ...], complaints: Iterable[str]) -> str:
    """Return the command that failed, by the last lines of stderr; all of the script's if they don't tell."""
    named = [match["command"] for line in complaints if (match := _FAILED.search(line))]
    own = f"{_INSTALL[manager]}{command_line(names)}".replace("when_unlocked ", "").splitlines()
    return named[-1] if named else "; ".join(own)
