"""`vzdump`."""

from slipway.lab.api.call import Call, Route, Routes
from slipway.lab.host import dumps
from slipway.lab.host.backup import Backup
from slipway.lab.problems import Refused, bad_parameters

ROOT_ONLY = ("tmpdir", "dumpdir", "script", "job-id")
NEEDS_MODIFY = ("bwlimit", "ionice", "performance")


def back_up(call: Call) -> str:
    """Begin a backup of the named containers."""
    machine, actor, params = call.machine, call.actor, call.params
    if not actor.is_root and (named := [name for name in ROOT_ONLY if name in params]):
        raise bad_parameters(dict.fromkeys(named, "Only root may set this option."))
    if any(name in params for name in NEEDS_MODIFY):
        actor.require("/", "Sys.Modify")
    vmids = _vmids(call)
    if not vmids and not call.flag("all") and "exclude" not in params:
        return "OK"
    storage = params.get("storage", "local")
    actor.require(f"/storage/{storage}", "Datastore.AllocateSpace")
    if "prune-backups" in params:
        actor.require(f"/storage/{storage}", "Datastore.Allocate")
    backup = Backup(machine=machine, actor=actor, vmids=vmids, storage=storage, params=params)
    return machine.tasks.start("vzdump", str(vmids[0]) if len(vmids) == 1 else "", actor.name, backup.work)


def extract_config(call: Call) -> str:
    """Show the config inside a backup, read from the head of its archive."""
    machine, actor, volid = call.machine, call.actor, call.params["volume"]
    storage, owner = volid.partition(":")[0], dumps.owner(volid)
    machine.storages.get(storage)
    if owner is None:
        raise Refused(f"unable to parse volume ID '{volid}'")
    actor.require(f"/vms/{owner}", "VM.Backup")
    actor.require(f"/storage/{storage}", "Datastore.AllocateSpace")
    dump = dumps.find(machine, volid)
    if dump is None:
        raise Refused(f"volume '{volid}' does not exist")
    if not dumps.is_readable(dump):
        raise Refused("ERROR: archive contains no configuration file")
    return "".join(f"{key}: {value}\n" for key, value in sorted(dump.facts()["config"].items()))


def _vmids(call: Call) -> list[int]:
    """Read which containers of this node are meant; those of other nodes are silently left out."""
    params = call.params
    vmids = _numbers(call, "vmid")
    if vmids and (others := [name for name in ("all", "exclude", "pool") if name in params]):
        raise bad_parameters(dict.fromkeys(others, "option conflicts with option 'vmid'"))
    if "notes-template" in params:
        dumps.check_template(params["notes-template"])
    if call.flag("all") or "exclude" in params:
        excluded = set(_numbers(call, "exclude"))
        return [vmid for vmid in call.machine.configs.vmids() if vmid not in excluded]
    if not vmids:
        raise bad_parameters({"vmid": "property is missing"})
    return [vmid for vmid in vmids if call.machine.home_of(vmid) in (None, call.machine)]


def _numbers(call: Call, name: str) -> list[int]:
    return [int(word) for word in call.words(name)]


ROUTES: Routes = {
    "POST /nodes/{node}/vzdump": Route(handler=back_up),
    "GET /nodes/{node}/vzdump/extractconfig": Route(handler=extract_config),
}
