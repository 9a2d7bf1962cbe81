"""`/nodes/{node}/storage/{storage}/content/{volume}`: one disk, template or backup.

A volume's own rights are checked here, as PVE::Storage::check_volume_access does: whoever manages the storage
may do everything, others what belongs to guests of theirs.
"""

import asyncio
import contextlib
import re

from slipway.lab.api.call import Call, Route, Routes, Row
from slipway.lab.host import dumps
from slipway.lab.host.storages import BLOCK_DEVICES, FOLDERS, Storage
from slipway.lab.host.tasks import Work
from slipway.lab.problems import Refused, bad_parameters

_KINDS = (
    ("backup", re.compile(r"backup/vzdump-\S+")),
    ("vztmpl", re.compile(r"vztmpl/\S+")),
    ("iso", re.compile(r"iso/\S+")),
    ("images", re.compile(r"(?:\d+/)?(?:vm|base|subvol)-(\d+)-\S+")),
)
BLOCK = 4096


def show(call: Call) -> Row:
    """Show what a volume is: place, size, format, and of a backup its notes and protection."""
    storage, volid = _volume(call)
    kind, owner = _kind(storage, volid)
    _check_access(call, volid, kind, owner)
    if kind == "images":
        return _disk(call, storage, volid)
    if kind == "backup" and (dump := dumps.find(call.machine, volid)):
        size = dump.archive.stat().st_size
        shown = {"notes": dump.facts()["notes"], "protected": int(dumps.is_protected(dump))}
        return _file(f"{storage.path}/dump/{dump.name}", size) | shown
    if kind == "vztmpl" and (path := call.machine.storages.templates().get(volid)):
        return _file(f"{storage.path}/template/cache/{volid.rpartition('/')[2]}", path.stat().st_size)
    raise Refused(f"volume_size_info on '{volid}' failed - no format")


def change(call: Call) -> None:
    """Change a backup's notes and protection."""
    storage, volid = _volume(call)
    kind, owner = _kind(storage, volid)
    _check_access(call, volid, kind, owner)
    params = call.params
    if kind != "backup":
        if "notes" in params:
            raise Refused("only backups can have notes")
        if "protected" in params:
            raise Refused("only backups support attribute 'protected'")
        return
    if dump := dumps.find(call.machine, volid):
        is_protected = call.flag("protected") if "protected" in params else None
        dumps.update(dump, notes=params.get("notes"), is_protected=is_protected)


async def remove(call: Call) -> str | None:
    """Begin the removal of a volume; with `delay` wait for its end and answer how it ended."""
    machine = call.machine
    storage, volid = _volume(call)
    kind, owner = _kind(storage, volid)
    if kind == "backup" and owner is not None:
        call.actor.require(f"/storage/{storage.name}", "Datastore.AllocateSpace")
        call.actor.require(f"/vms/{owner}", "VM.Backup")
    else:
        call.actor.require(f"/storage/{storage.name}", "Datastore.Allocate")
    if kind in ("vztmpl", "iso"):
        raise Refused(f"unable to remove '{volid}': the lab removes backups and disks only")

    async def body(work: Work) -> None:
        await machine.faults.at_task("middle", work)
        if kind == "images":
            machine.storages.remove(machine.storages.volume(volid).volid)
        else:
            _remove_backup(call, storage, volid)
        work.log(f"Removed volume '{volid}'")

    subject = storage.name if owner is None else f"{owner}@{storage.name}"
    upid = machine.tasks.start("imgdel", subject, call.actor.name, body)
    return await _awaited(call, upid) if "delay" in call.params else upid


def _remove_backup(call: Call, storage: Storage, volid: str) -> None:
    dump = dumps.find(call.machine, volid)
    if dump is None:
        path = f"{storage.path}/dump/{volid.rpartition('/')[2]}"
        raise Refused(f"unlink '{path}' failed - No such file or directory")
    dumps.remove(dump)


async def _awaited(call: Call, upid: str) -> str | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(call.number("delay")):
            status = await call.machine.tasks.end_of(upid)
            if status != "OK" and not status.startswith("WARNINGS: "):
                raise Refused(status)
            return None
    return upid


def _volume(call: Call) -> tuple[Storage, str]:
    name, volume = call.params["storage"], call.params["volume"]
    storage, separator, _ = volume.partition(":")
    if separator and storage != name:
        raise bad_parameters({"volume": f"storage ID mismatch ({storage} != {name})\n"})
    return call.machine.storages.get(name), volume if separator else f"{name}:{volume}"


def _kind(storage: Storage, volid: str) -> tuple[str, int | None]:
    """Read from a volume's name what it is, and whose."""
    name = volid.partition(":")[2]
    for kind, pattern in _KINDS:
        if match := pattern.fullmatch(name):
            return kind, int(match[1]) if kind == "images" else dumps.owner(volid)
    word = "directory" if storage.type in FOLDERS else "lvm"
    raise Refused(f"unable to parse {word} volume name '{name}'")


def _check_access(call: Call, volid: str, kind: str, owner: int | None) -> None:
    path = f"/storage/{volid.partition(':')[0]}"
    if call.actor.may(path, "Datastore.Allocate"):
        return
    if kind in ("iso", "vztmpl"):
        call.actor.require_any(path, ("Datastore.AllocateSpace", "Datastore.Audit"))
    elif owner is not None:
        is_backup = kind == "backup"
        call.actor.require(path, "Datastore.AllocateSpace" if is_backup else "Datastore.Audit")
        call.actor.require(f"/vms/{owner}", "VM.Backup" if is_backup else "VM.Config.Disk")
    else:
        raise Refused(f"missing privileges to access {volid}")


def _file(path: str, size: int) -> Row:
    return {"path": path, "size": size, "used": -(-size // BLOCK) * BLOCK, "format": "raw"}


def _disk(call: Call, storage: Storage, volid: str) -> Row:
    volume = call.machine.storages.find(volid)
    if volume is None:
        raise Refused(f"volume_size_info on '{volid}' failed - no format")
    place = f"{storage.path}/images" if storage.type in FOLDERS else BLOCK_DEVICES
    size = volume.size_kib * 1024
    path = f"{place}/{volid.partition(':')[2]}"
    return {"path": path, "size": size, "used": size // 10, "format": volume.format}


VOLUME = "/nodes/{node}/storage/{storage}/content/{volume}"
ROUTES: Routes = {
    f"GET {VOLUME}": Route(handler=show),
    f"PUT {VOLUME}": Route(handler=change),
    f"DELETE {VOLUME}": Route(handler=remove),
}
