"""Packages that came with the lab: which of them something else uses by now, so that they stay.

Theory of operation. What came is on record, dependencies included, and marked as installed automatically: who
installs one of them by hand later makes it his own, and apt knows it. Beyond that a package is used if a
process runs from its files, if a unit of it was switched on since, if somebody's containers lie where it
keeps them, or if apt would have to remove something else with it.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slipway.lab.guests import commands

_APT_SECONDS = 60.0
_DATA = {"lxc": Path("/var/lib/lxc")}
"""Where a package keeps what people make with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debian:
    """What apt and dpkg know, and what runs."""

    apt_options: tuple[str, ...] = ()
    admindir: Path = Path("/var/lib/dpkg")
    processes: Path = Path("/proc")
    data: Mapping[str, Path] = field(default_factory=lambda: _DATA)

    async def installed(self) -> set[str]:
        """Return the names of the packages that are installed."""
        form = "-f=${db:Status-Status} ${Package}\n"
        output = await commands.run(["dpkg-query", f"--admindir={self.admindir}", "-W", form])
        return {line.split()[1] for line in output.splitlines() if line.startswith("installed ")}

    async def mark_automatic(self, names: Collection[str]) -> None:
        """Mark packages in apt as asked for by nobody."""
        if names:
            await commands.run(["apt-mark", *self.apt_options, "auto", *sorted(names)])

    async def used(self, names: Collection[str], units: Collection[str] | None = None) -> dict[str, str]:
        """Return those of these packages that something else uses, each with what uses it.

        Args:
            names: the packages that came.
            units: those of their units that were on when they came; None if it is not known.
        """
        reasons: dict[str, str] = {}
        manual = await self._manual() if units is not None else set()
        for name in sorted(names):
            files = await self._files(name)
            reason = (
                (name in manual and "it was installed by hand since")
                or self._running(files)
                or self._stored_data(name)
                or (units is not None and await _switched_on(files, units))
            )
            if reason:
                reasons[name] = reason
        for name in sorted(set(names) - set(reasons)):
            others = await self._gone_with([name]) - {name}
            if needy := sorted((others - set(names)) | (others & set(reasons))):
                reasons[name] = f"{', '.join(needy)} would go with it"
        rest = sorted(set(names) - set(reasons))
        if more := sorted(await self._gone_with(rest) - set(rest)) if rest else []:
            reasons |= dict.fromkeys(rest, f"{', '.join(more)} would go with them")
        return reasons

    async def units(self, names: Iterable[str]) -> list[str]:
        """Return the names of those units of packages that are on."""
        return [
            unit.name
            for name in sorted(names)
            for unit in _units(await self._files(name))
            if await _is_on(unit.name)
        ]

    async def _manual(self) -> set[str]:
        return set((await commands.run(["apt-mark", *self.apt_options, "showmanual"])).split())

    async def _gone_with(self, names: Sequence[str]) -> set[str]:
        """Return what apt would remove with these."""
        output = await commands.run(
            ["apt-get", *self.apt_options, "purge", "--simulate", "-y", *names], timeout_seconds=_APT_SECONDS
        )
        removals = (line.split()[1] for line in output.splitlines() if line.startswith(("Purg ", "Remv ")))
        return {name.partition(":")[0] for name in removals}

    async def _files(self, name: str) -> frozenset[str]:
        output = await commands.run(["dpkg-query", f"--admindir={self.admindir}", "-L", name])
        return frozenset(_real(line) for line in output.splitlines() if line.startswith("/"))

    def _running(self, files: frozenset[str]) -> str:
        """Return a process that runs from these files, in this system and not in a container of it."""
        here = _namespace(self.processes / "self")
        for process in sorted(self.processes.glob("[0-9]*")):
            if _namespace(process) != here:
                continue
            if used := _mapped(process) & files:
                return f"process {process.name} uses {min(used)}"
        return ""

    def _stored_data(self, name: str) -> str:
        folder = self.data.get(name)
        configs = sorted(folder.glob("*/config")) if folder is not None else []
        return f"there are containers in {folder}" if configs else ""


async def _switched_on(files: Collection[str], before: Collection[str]) -> str:
    for unit in _units(files):
        if unit.name not in before and await _is_on(unit.name):
            return f"{unit.name} was switched on since"
    return ""


def _units(files: Collection[str]) -> list[Path]:
    paths = sorted(Path(file) for file in files)
    return [path for path in paths if path.parent.match("systemd/system") and path.suffix == ".service"]


async def _is_on(unit: str) -> bool:
    if "@" in unit:
        return False
    enabled = await commands.attempt(["systemctl", "is-enabled", "--quiet", unit])
    return enabled or await commands.attempt(["systemctl", "is-active", "--quiet", unit])


def _namespace(process: Path) -> str:
    try:
        return str((process / "ns/mnt").readlink())
    except OSError:  # it has ended meanwhile, or is a thread of the kernel
        return ""


def _mapped(process: Path) -> set[str]:
    try:
        lines = (process / "maps").read_text().splitlines()
    except OSError:
        return set()
    return {_real(line[line.index("/") :]) for line in lines if "/" in line}


def _real(path: str) -> str:
    """Return a path without the links that make `/lib` of `/usr/lib`."""
    return os.path.realpath(path)
