"""Backups on storages: the archives that vzdump makes, with the config and the template behind each.

Here: names, files, listing, notes, protection, removing. An archive is a file in the data folder; the config
that a real one has inside lies beside it, with notes and protection.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.lab.host import records
from slipway.lab.host.configs import Config
from slipway.lab.host.machine import Machine
from slipway.lab.problems import Refused, bad_parameters

_NAME = re.compile(r"vzdump-lxc-(\d+)-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.(tar(?:\.\w+)?)")
_ESCAPES = {"n": "\n", "\\": "\\"}
_VARIABLES = ("cluster", "guestname", "node", "vmid")
_HEADER, _MAGIC = 512, slice(257, 262)
SUFFIXES = {"0": "tar", "1": "tar.lzo", "lzo": "tar.lzo", "gzip": "tar.gz", "zstd": "tar.zst"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """One backup."""

    storage: str
    name: str
    """The file's: `vzdump-lxc-100-2026_11_23-17_00_00.tar.zst`."""
    archive: Path
    vmid: int
    format: str

    @property
    def volid(self) -> str:
        """Its name as a volume."""
        return f"{self.storage}:backup/{self.name}"

    def facts(self) -> Mapping[str, Any]:
        """Read what lies beside the archive: `config`, `template`, `notes`, `protected`."""
        facts: Mapping[str, Any] = records.read_json(_beside(self.archive))
        return facts


def listed(machine: Machine, storage: str) -> list[Dump]:
    """List a storage's backups, oldest first; only whole ones."""
    files = sorted(_folder(machine, storage).glob("vzdump-*"))
    dumps = (_dump(storage, path) for path in files if _beside(path).exists())
    return [dump for dump in dumps if dump is not None]


def find(machine: Machine, volid: str) -> Dump | None:
    """Look a backup up by its volume's name."""
    storage = volid.partition(":")[0]
    return next((dump for dump in listed(machine, storage) if dump.volid == volid), None)


def owner(volid: str) -> int | None:
    """Read from a backup's name which container it is of; it need not exist."""
    match = _NAME.search(volid)
    return int(match[1]) if match else None


def is_readable(dump: Dump) -> bool:
    """Return whether an archive begins as one does; what comes later only shows when it is unpacked."""
    with dump.archive.open("rb") as file:
        return file.read(_HEADER)[_MAGIC].startswith(b"ustar")


def tar_option(volid: str) -> str:
    """Return the option that tells tar how an archive is compressed."""
    suffix = volid.rpartition(".")[2]
    return {"zst": " --zstd", "gz": " -z", "lzo": " --lzop"}.get(suffix, "")


def new(machine: Machine, storage: str, vmid: int, compress: str) -> Dump:
    """Name a backup made now; a name has seconds only, so two in one second are a second apart."""
    moment = machine.now()
    while True:
        stamp = time.strftime("%Y_%m_%d-%H_%M_%S", time.localtime(moment))
        path = _folder(machine, storage) / f"vzdump-lxc-{vmid}-{stamp}.{SUFFIXES[compress]}"
        dump = _dump(storage, path)
        if dump is not None and not path.exists():
            return dump
        moment += 1


def finish(dump: Dump, config: Config, template: Path) -> None:
    """Make a written archive a backup."""
    facts = {"config": config, "template": str(template), "notes": "", "protected": False}
    records.write_json(_beside(dump.archive), facts)


def update(dump: Dump, *, notes: str | None = None, is_protected: bool | None = None) -> None:
    """Change notes and protection; what is not given stays."""
    facts = dict(dump.facts())
    if notes is not None:
        facts["notes"] = notes
    if is_protected is not None:
        facts["protected"] = is_protected
    records.write_json(_beside(dump.archive), facts)


def is_protected(dump: Dump) -> bool:
    """Return whether a backup must not be removed; older ones have no such mark."""
    return bool(dump.facts().get("protected", False))


def remove(dump: Dump) -> None:
    """Remove a backup with what lies beside it; refuse a protected one."""
    if is_protected(dump):
        raise Refused(f"cannot remove protected volume 'backup/{dump.name}' on '{dump.storage}'")
    _beside(dump.archive).unlink(missing_ok=True)
    dump.archive.unlink(missing_ok=True)


def shown(dump: Dump) -> dict[str, Any]:
    """Show it as a storage's content."""
    status = dump.archive.stat()
    row: dict[str, Any] = {
        "volid": dump.volid,
        "content": "backup",
        "format": dump.format,
        "subtype": "lxc",
        "size": status.st_size,
        "ctime": int(status.st_mtime),
        "vmid": dump.vmid,
    }
    notes = dump.facts()["notes"]
    row |= {"notes": notes} if notes else {}
    return row | ({"protected": 1} if is_protected(dump) else {})


def check_template(template: str) -> None:
    """Refuse a notes template that has what can't be filled in, naming all of it."""
    if "\n" in template:
        raise bad_parameters({"notes-template": "contains a line feed\n"})
    unknown = [
        f"escape sequence '\\{found[1]}' at char {found.start()}"
        for found in re.finditer(r"\\(.)", template)
        if found[1] not in _ESCAPES
    ]
    unknown += [
        f"variable '{found[1]}' at char {found.end() - len(found[1])}"
        for found in re.finditer(r"\{\{([^\s{}]+)\}\}", template)
        if found[1] not in _VARIABLES
    ]
    if unknown:
        raise bad_parameters({"notes-template": f"found unknown: {', '.join(unknown)}\n"})


def expand(template: str, machine: Machine, vmid: int, config: Config) -> str:
    r"""Fill in a notes template, as PVE::VZDump does: first `\n` and `\\`, then the variables."""
    values = {
        "cluster": "lab" if len(machine.members) > 1 else "standalone node",
        "guestname": config.get("hostname", f"CT{vmid}"),
        "node": machine.node,
        "vmid": str(vmid),
    }
    plain = re.sub(r"\\(.)", lambda found: _ESCAPES[found[1]], template)
    return re.sub(rf"\{{\{{({'|'.join(_VARIABLES)})\}}\}}", lambda found: values[found[1]], plain)


def _dump(storage: str, path: Path) -> Dump | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    return Dump(storage=storage, name=path.name, archive=path, vmid=int(match[1]), format=match[2])


def _beside(archive: Path) -> Path:
    return archive.with_name(f".{archive.name}.json")


def _folder(machine: Machine, storage: str) -> Path:
    place = machine.shared_folder if machine.storages.is_shared(storage) else machine.folder
    return place / "dump" / storage
