"""`/storage` and `/nodes/{node}/storage`."""

import hashlib

from slipway.lab.api.call import Call, Handler, Route, Routes, Row
from slipway.lab.host import dumps
from slipway.lab.host.dumps import Dump
from slipway.lab.host.storages import Storage

RIGHTS = ("Datastore.Audit", "Datastore.AllocateSpace")
_ARCHIVE_FORMATS = {".zst": "tzst", ".gz": "tgz", ".xz": "txz"}


def configured(call: Call) -> list[Row]:
    """List storages as they are configured."""
    visible = (one for one in call.machine.storages.configured() if _may_look(call, one))
    return [_configured(one) for one in visible if call.params.get("type", one.type) == one.type]


def _configured(storage: Storage) -> Row:
    row = {"storage": storage.name, "type": storage.type, "content": ",".join(storage.content)}
    place: Row = {"vgname": "pve", "thinpool": "data"}
    if storage.path:
        place = {"path": storage.path, "prune-backups": "keep-all=1"}
    if storage.is_shared:
        place |= {"server": "10.0.0.1", "export": f"/srv/{storage.name}", "shared": 1}
    if storage.nodes:
        place["nodes"] = ",".join(storage.nodes)
    digest = hashlib.sha1(storage.name.encode(), usedforsecurity=False).hexdigest()
    return row | place | {"digest": digest} | ({} if storage.is_enabled else {"disable": 1})


def storages(call: Call) -> list[Row]:
    """List storages as this node sees them."""
    kinds = set(call.params.get("content", "").replace(",", " ").split())
    rows = []
    for storage in _visible(call):
        fits = not kinds or kinds & set(storage.content)
        is_named = call.params.get("storage", storage.name) == storage.name
        if fits and is_named and (storage.is_enabled or not call.flag("enabled")):
            status = _status(call, storage)
            fraction = {"used_fraction": status["used"] / status["total"]} if storage.is_enabled else {}
            rows.append({"storage": storage.name, **status, **fraction})
    return rows


def status(call: Call) -> Row:
    """Show one storage."""
    return _status(call, call.machine.storages.get(call.params["storage"]))


def _status(call: Call, storage: Storage) -> Row:
    used = call.machine.storages.used_bytes(storage)
    is_enabled = int(storage.is_enabled)
    return {
        "type": storage.type,
        "content": ",".join(storage.content),
        "active": is_enabled,
        "enabled": is_enabled,
        "shared": int(storage.is_shared),
        "total": storage.total_bytes,
        "used": used,
        "avail": storage.total_bytes - used,
    }


def content(call: Call) -> list[Row]:
    """List disks, templates and backups on a storage."""
    storages = call.machine.storages
    storage = storages.get(call.params["storage"])
    rows: list[Row] = [
        {
            "volid": one.volid,
            "content": "rootdir",
            "format": one.format,
            "size": one.size_kib * 1024,
            "used": one.size_kib * 1024 // 10,
            "ctime": one.ctime,
            "vmid": one.vmid,
            "parent": None,
        }
        for one in storages.volumes(storage.name)
    ]
    if "vztmpl" in storage.content:
        rows += [
            {
                "volid": volid,
                "content": "vztmpl",
                "format": _ARCHIVE_FORMATS.get(path.suffix, "tar"),
                "size": path.stat().st_size,
                "ctime": int(path.stat().st_mtime),
            }
            for volid, path in storages.templates().items()
        ]
    if "backup" in storage.content:
        rows += [
            dumps.shown(dump) for dump in dumps.listed(call.machine, storage.name) if _may_see(call, dump)
        ]
    kind, vmid = call.params.get("content"), call.number("vmid")
    return [row for row in rows if kind in (None, row["content"]) and vmid in (None, row.get("vmid"))]


def _may_see(call: Call, dump: Dump) -> bool:
    is_manager = call.actor.may(f"/storage/{dump.storage}", "Datastore.Allocate")
    return is_manager or call.actor.may(f"/vms/{dump.vmid}", "VM.Backup")


def _visible(call: Call) -> list[Storage]:
    return [storage for storage in call.machine.storages.all() if _may_look(call, storage)]


def _may_look(call: Call, storage: Storage) -> bool:
    return call.actor.may_any(f"/storage/{storage.name}", RIGHTS)


def _on_storage(handler: Handler) -> Route:
    return Route(handler=handler, path="/storage/{storage}", rights=RIGHTS, any_right=True)


ROUTES: Routes = {
    "GET /storage": Route(handler=configured),
    "GET /nodes/{node}/storage": Route(handler=storages),
    "GET /nodes/{node}/storage/{storage}": _on_storage(
        lambda _call: [{"subdir": "content"}, {"subdir": "status"}]
    ),
    "GET /nodes/{node}/storage/{storage}/content": _on_storage(content),
    "GET /nodes/{node}/storage/{storage}/status": _on_storage(status),
}
