"""Which guests the lab runs, and why: real LXC containers where this machine may, else simulated ones."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slipway.lab.guests import setup
from slipway.lab.guests.lxc.backend import LxcGuests
from slipway.lab.guests.protocol import GuestError, Guests
from slipway.lab.guests.simulated.backend import SimulatedGuests
from slipway.lab.guests.simulated.possible import impossible

Kind = Literal["lxc", "simulated"]
ASK_SECONDS = 10.0
CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21
"""Numbers of the kernel's capabilities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A backend and the line that tells it."""

    kind: Kind
    reason: str
    """One sentence for the first line a person sees."""
    is_installed: bool = True
    """False: real containers need `setup.apply` first."""


def choose(requested: Literal["lxc", "simulated", "auto"] = "auto") -> Choice:
    """Decide; raise `GuestError` when what was asked for, or anything at all, cannot run here."""
    if requested == "simulated":
        return _simulated("because it was asked for")
    refusal = _no_lxc()
    if refusal is None:
        return _real()
    if requested == "lxc":
        raise GuestError(f"Real LXC containers cannot run here: {refusal}.")
    return _simulated(f"because {refusal}")


def build(choice: Choice, data: Path) -> Guests:
    """Make the backend; it touches nothing before its `open`."""
    if choice.kind == "simulated":
        return SimulatedGuests(data)
    return LxcGuests(data)


def _real() -> Choice:
    where = f"root on {_os_release().get('NAME', 'Linux').split()[0]}"
    is_installed = not setup.missing()
    lxc = f"lxc {_lxc_version()}" if is_installed else "lxc will be installed"
    reason = f"Guests: real LXC containers ({where}, {lxc})"
    return Choice(kind="lxc", reason=reason, is_installed=is_installed)


def _simulated(why: str) -> Choice:
    obstacle = impossible()
    if obstacle is not None:
        raise GuestError(f"No guests can run here: {obstacle}.")
    return Choice(kind="simulated", reason=f"Guests: simulated, {why}")


def _no_lxc() -> str | None:
    """Return why LXC cannot be used, as the end of a sentence; None if it can."""
    if Path("/etc/pve").exists() or shutil.which("pveversion"):
        return "this is a Proxmox VE node, and Debian's lxc would remove Proxmox's"
    if os.geteuid() != 0:
        return "this process is not root"
    if not _may_mount_and_bridge():
        return "this root may neither mount nor make bridges, as in most application containers"
    if not setup.missing():
        return None
    words = {_os_release().get("ID", ""), *_os_release().get("ID_LIKE", "").split()}
    if "debian" not in words or not shutil.which("apt-get"):
        return "lxc is not installed, and this is no Debian that could install it"
    return None


def _may_mount_and_bridge() -> bool:
    """Return whether root has the two capabilities that everything else rests on."""
    status = Path("/proc/self/status").read_text() if Path("/proc/self/status").exists() else ""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    capabilities = int(match[1], 16) if match else 0
    return bool(capabilities >> CAP_SYS_ADMIN & 1 and capabilities >> CAP_NET_ADMIN & 1)


def _os_release() -> dict[str, str]:
    path = Path("/etc/os-release")
    text = path.read_text() if path.exists() else ""
    return dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', text, re.MULTILINE))


def _lxc_version() -> str:
    answer = subprocess.run(
        ["lxc-start", "--version"],  # noqa: S607 - found on the PATH a moment ago
        check=False, capture_output=True, text=True, timeout=ASK_SECONDS,
    )  # fmt: skip
    return answer.stdout.strip() or "of unknown version"
