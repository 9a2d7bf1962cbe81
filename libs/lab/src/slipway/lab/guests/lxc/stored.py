"""What is stored of a guest beside its disk: its spec, the layer below it, its address."""

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from slipway.lab.guests.protocol import GuestError, GuestSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Content of `guest.json`; root's password is never in it."""

    spec: GuestSpec
    base: Path
    lease: str | None
    """IPv4 address with prefix length, for the device that asks for one."""


_FILE = TypeAdapter(Stored)


def write(folder: Path, stored: Stored) -> None:
    """Replace the file as a whole."""
    draft = folder / ".guest.json"
    draft.write_bytes(_FILE.dump_json(replace(stored, spec=replace(stored.spec, password=None))))
    draft.chmod(0o600)
    draft.replace(folder / "guest.json")


def exists(folder: Path) -> bool:
    """Return whether a guest was made there to the end; what was not is nobody's."""
    return (folder / "guest.json").exists()


def read(folder: Path, vmid: int) -> Stored:
    """Read it back; a folder without it is no guest."""
    try:
        return _FILE.validate_json((folder / "guest.json").read_bytes())
    except FileNotFoundError:
        raise GuestError(f"guest {vmid} does not exist") from None
