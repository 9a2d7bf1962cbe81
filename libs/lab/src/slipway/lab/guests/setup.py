"""What real containers need of this machine: announced, done, recorded, and undone.

Everything that outlives a lab is changed here and nowhere else, and its former state is stored in
`changes.json`: packages, `/etc/subuid` and `/etc/subgid`, kernel settings, the cache. `undo` takes back
what stands there, but for what something else uses by now, and says what it keeps. What a running lab sets
up (bridge, NAT, mounts) is the backend's to remove.
"""

import asyncio
import fcntl
import json
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from slipway.lab.guests import commands
from slipway.lab.guests.lxc import cleanup, place
from slipway.lab.guests.packages import Debian

PACKAGES = ("lxc", "mmdebstrap", "uidmap", "nftables", "zstd", "iproute2", "debian-archive-keyring")
PROGRAMS = ("lxc-start", "lxc-attach", "lxc-usernsexec", "mmdebstrap", "newuidmap", "nft", "zstd", "ip")
CHANGES = Path("/var/lib/slipway-lab/changes.json")
SETTINGS = {"net.ipv4.ip_forward": 1, "fs.inotify.max_user_instances": 1024}
"""Least values; 128 inotify instances, a common default, are used up by about twenty guests with systemd."""
APT_SECONDS = 900.0


@dataclass(kw_only=True)
class Changes:
    """What was changed, with what it takes to change it back."""

    packages: list[str] = field(default_factory=list)
    """Packages that were not there before, dependencies included."""
    units: list[str] | None = None
    """Those of their units that were on once they were there; None of what was recorded without them."""
    id_lines: dict[str, str] = field(default_factory=dict)
    """Line that was added, by file."""
    settings: dict[str, str] = field(default_factory=dict)
    """Former value, by name."""


def missing() -> list[str]:
    """Programs that real containers need and that are not here."""
    return [name for name in PROGRAMS if shutil.which(name, path=commands.PATH) is None]


def plan() -> list[str]:
    """Return as sentences what `apply` and then `open` will change; nothing is left out."""
    sentences: list[str] = []
    if missing():
        sentences.append(f"Install the Debian packages {', '.join(PACKAGES)}, as far as they are missing.")
        sentences.append(
            "Debian's lxc may start its own bridge lxcbr0 on 10.0.3.0/24; the lab does not use it."
        )
    sentences += [
        f"Add a range of {place.ID_COUNT} ids for root to {path}, for unprivileged containers."
        for path in place.ID_FILES
        if place.id_range(path.read_text() if path.exists() else "") is None
    ]
    sentences += [
        f"Set the kernel's {name} from {_read(name)} to {least}."
        for name, least in SETTINGS.items()
        if int(_read(name)) < least
    ]
    sentences.append("While a lab runs: a bridge of its own and an nftables table that gives its guests NAT.")
    sentences.append(f"Keep templates and packages for the guests in {place.cache_folder()}.")
    sentences.append(
        f"All of it is recorded in {CHANGES}; `make demo-clean` takes back what nothing else uses by then."
    )
    return sentences


async def apply(on_line: Callable[[str], None]) -> None:
    """Install what is missing, then see to ids and kernel settings. Safe to repeat."""
    if missing():
        debian = Debian()
        before = await debian.installed()
        await commands.stream(["apt-get", "update"], on_line, timeout_seconds=APT_SECONDS)
        try:
            await commands.stream(
                ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES],
                on_line,
                timeout_seconds=APT_SECONDS,
            )
        finally:
            fresh = await debian.installed() - before
            with _changes() as changes:
                earlier_units = changes.units if changes.packages else []
                changes.packages = sorted({*changes.packages, *fresh})
                changes.units = None
        await debian.mark_automatic(fresh)
        if earlier_units is not None:
            on = await debian.units(fresh)
            with _changes() as changes:
                changes.units = sorted({*earlier_units, *on})
    adjust()


def adjust() -> None:
    """See to ids and kernel settings alone; every `open` does, for a reboot forgets the latter."""
    with _changes() as changes:
        for path in place.ID_FILES:
            text = path.read_text() if path.exists() else ""
            if place.id_range(text) is None:
                line = f"root:{place.free_id(text)}:{place.ID_COUNT}"
                path.write_text(text + line + "\n")
                changes.id_lines[str(path)] = line
        for name, least in SETTINGS.items():
            value = _read(name)
            if int(value) < least:
                changes.settings.setdefault(name, value)
                _setting(name).write_text(str(least))


async def undo(on_line: Callable[[str], None]) -> None:
    """Take back what is recorded and nothing else uses, and remove the cache. Raise when a lab still runs."""
    for data in cleanup.traces():
        await cleanup.after_death(data)
    with _changes() as changes:
        used = await _purge(changes, on_line)
        changes.packages, changes.units = [], None
        users = "the packages that stay" if used else _other_bridges()
        for name, value in changes.settings.items():
            on_line(_take_back(name, value, users))
        changes.settings = {}
        for path, line in changes.id_lines.items():
            if used:
                on_line(f"left {line} in {path}: the packages that stay may use it")
                continue
            _remove_line(Path(path), line)
            on_line(f"removed {line} from {path}")
        changes.id_lines = {}
    place.remove_cache()
    on_line(f"removed the cache of the labs in {place.cache_folder()}")
    shutil.rmtree(CHANGES.parent, ignore_errors=True)


def _take_back(name: str, former: str, users: str) -> str:
    """Set a kernel setting as it was, unless others rely on it or have changed it; say which."""
    if int(_read(name)) != SETTINGS[name]:
        return f"{name} stays {_read(name)}: it was changed since"
    if users:
        return f"{name} stays {_read(name)}: {users} may rely on it"
    _setting(name).write_text(former)
    return f"{name} is {former} again"


def _other_bridges() -> str:
    """Return the names of the bridges there are: what they connect needs forwarding."""
    return ", ".join(sorted(path.parent.name for path in Path("/sys/class/net").glob("*/bridge")))


@contextmanager
def _changes() -> Iterator[Changes]:
    """Hold the record alone, and write it back whatever happens."""
    CHANGES.parent.mkdir(parents=True, exist_ok=True)
    with (CHANGES.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        changes = Changes(**json.loads(CHANGES.read_text())) if CHANGES.exists() else Changes()
        try:
            yield changes
        finally:
            draft = CHANGES.with_suffix(".draft")
            draft.write_text(json.dumps(asdict(changes), indent=2) + "\n")
            draft.replace(CHANGES)


async def _purge(changes: Changes, on_line: Callable[[str], None]) -> Collection[str]:
    """Purge what was installed and nothing else uses; return what stays, each with its user."""
    debian = Debian()
    installed = await debian.installed() & set(changes.packages)
    used = await debian.used(installed, changes.units)
    for name, why in sorted(used.items()):
        on_line(f"left {name} installed: {why}")
    if unused := sorted(installed - set(used)):
        await commands.stream(["apt-get", "purge", "-y", *unused], on_line, timeout_seconds=APT_SECONDS)
    return used


def _setting(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


def _read(name: str) -> str:
    return _setting(name).read_text().strip()


def _remove_line(path: Path, line: str) -> None:
    lines = [other for other in path.read_text().splitlines() if other != line]
    path.write_text("".join(f"{other}\n" for other in lines))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Command line: `plan`, `apply` or `undo`."""
    verb = sys.argv[1] if len(sys.argv) > 1 else "plan"
    if verb == "plan":
        sys.stdout.writelines(f"{sentence}\n" for sentence in plan())
    elif verb in {"apply", "undo"}:
        act = apply if verb == "apply" else undo
        asyncio.run(act(_tell))
    else:
        sys.exit("usage: python -m slipway.lab.guests.setup plan|apply|undo")


if __name__ == "__main__":
    main()
