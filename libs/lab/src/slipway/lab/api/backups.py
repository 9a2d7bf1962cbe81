"""`vzdump`, and the volumes that it leaves."""

import re

from slipway.lab.api.call import Call, Route, Routes
from slipway.lab.host import dumps
from slipway.lab.host.backup import Backup
from slipway.lab.host.tasks import Work
from slipway.lab.problems import Refused, bad_parameters

ROOT_ONLY = ("tmpdir", "dumpdir", "script", "job-id")
NEEDS_MODIFY = ("bwlimit", "ionice", "performance")


def back_up(call: Call) -> str:
    """Begin a backup of the named containers."""
    machine, actor, given = call.machine, call.actor, call.given
    if not actor.is_root and (named := [name for name in ROOT_ONLY if name in given]):
        raise bad_parameters(dict.fromkeys(named, "Only root may set this option."))
    if any(name in given for name in NEEDS_MODIFY):
        actor.require("/", "Sys.Modify")
    vmids = [int(word) for word in re.split(r"[,;\s]+", given.get("vmid", "")) if word]
    if call.flag("all"):
        vmids = machine.configs.vmids()
    elif not vmids:
        raise bad_parameters({"vmid": "property is missing"})
    storage = given.get("storage", "local")
    actor.require(f"/storage/{storage}", "Datastore.AllocateSpace")
    if "prune-backups" in given:
        actor.require(f"/storage/{storage}", "Datastore.Allocate")
    backup = Backup(machine=machine, actor=actor, vmids=vmids, storage=storage, given=given)
    return machine.tasks.start("vzdump", str(vmids[0]) if len(vmids) == 1 else "", actor.name, backup.work)


def remove(call: Call) -> str:
    """Begin the removal of a volume: a backup; disks of containers go with them."""
    machine, storage = call.machine, call.machine.storages.get(call.given["storage"])
    volume = call.given["volume"]
    volid = volume if ":" in volume else f"{storage.name}:{volume}"
    vmid = dumps.owner(volid)
    if vmid is None:
        call.actor.require(f"/storage/{storage.name}", "Datastore.Allocate")
        raise Refused(f"unable to remove '{volid}': the lab removes backups only")
    call.actor.require(f"/storage/{storage.name}", "Datastore.AllocateSpace")
    call.actor.require(f"/vms/{vmid}", "VM.Backup")

    async def body(work: Work) -> None:
        await machine.faults.at_task("middle", work)
        dump = dumps.find(machine, volid)
        if dump is None:
            path = f"{storage.path}/dump/{volid.rpartition('/')[2]}"
            raise Refused(f"unlink '{path}' failed - No such file or directory")
        dumps.remove(dump)
        work.log(f"Removed volume '{volid}'")

    return machine.tasks.start("imgdel", f"{vmid}@{storage.name}", call.actor.name, body)


ROUTES: Routes = {
    "POST /nodes/{node}/vzdump": Route(handler=back_up),
    "DELETE /nodes/{node}/storage/{storage}/content/{volume}": Route(handler=remove),
}
