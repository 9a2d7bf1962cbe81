"""`/pools`: who may audit a pool sees it; who may allocate it changes it."""

from slipway.lab.api.call import Call, Handler, Route, Routes, Row
from slipway.lab.host.pools import Pool
from slipway.lab.problems import Refused, bad_parameters

AUDIT = "Pool.Audit"


def pools(call: Call) -> list[Row]:
    """List the pools that may be seen, or the named one with its members."""
    poolid = call.params.get("poolid")
    if poolid is not None:
        call.actor.require(f"/pool/{poolid}", AUDIT)
        return [_with_members(call, call.machine.pools.get(poolid))]
    seen = (one for one in call.machine.pools.all() if call.actor.may(f"/pool/{one.poolid}", AUDIT))
    return [one.shown() for one in seen]


def pool(call: Call) -> Row:
    """Show one pool."""
    return _with_members(call, call.machine.pools.get(call.params["poolid"]))


def _with_members(call: Call, pool: Pool) -> Row:
    members: list[Row] = [
        row for row in _guests(call) if row["vmid"] in pool.vmids and _is_of(call, row["type"])
    ]
    if _is_of(call, "storage"):
        members += [
            {"id": f"storage/{call.machine.node}/{name}", "type": "storage", "storage": name}
            for name in pool.storages
        ]
    return pool.shown() | {"members": members}


def _guests(call: Call) -> list[Row]:
    observers = (call.observers[one.condition.first_name] for one in call.members)
    return [row for observer in observers for row in observer.resources()]


def _is_of(call: Call, kind: str) -> bool:
    return call.params.get("type", kind) == kind


def create(call: Call) -> None:
    """Make a pool."""
    call.machine.pools.create(call.params["poolid"], call.params.get("comment"))


def change(call: Call) -> None:
    """Add members, or remove them."""
    pools, poolid = call.machine.pools, call.params["poolid"]
    removes = call.flag("delete")
    if poolid not in pools:
        raise Refused(f"update pools failed: pool '{poolid}' does not exist")
    words = call.words("vms")
    if not all(word.isdecimal() for word in words):
        raise bad_parameters({"vms": "invalid format - value does not look like a valid VM ID\n"})
    for vmid in map(int, words):
        if removes:
            pools.forget_guest(vmid)
        elif (there := pools.of_guest(vmid)) in (None, poolid) or call.flag("allow-move"):
            pools.add_guest(poolid, vmid)
        else:
            raise Refused(f"update pools failed: VM {vmid} belongs already to pool '{there}'")
    pools.change(poolid, comment=call.params.get("comment"), storages=call.words("storage"), removes=removes)


def remove(call: Call) -> None:
    """Remove an empty pool."""
    call.machine.pools.remove(call.params["poolid"])


def _on_pool(handler: Handler, right: str) -> Route:
    return Route(handler=handler, path="/pool/{poolid}", rights=(right,))


_MAY_CHANGE = "Pool.Allocate"
ROUTES: Routes = {
    "GET /pools": Route(handler=pools),
    "POST /pools": _on_pool(create, _MAY_CHANGE),
    "PUT /pools": _on_pool(change, _MAY_CHANGE),
    "DELETE /pools": _on_pool(remove, _MAY_CHANGE),
    "GET /pools/{poolid}": _on_pool(pool, AUDIT),
    "PUT /pools/{poolid}": _on_pool(change, _MAY_CHANGE),
    "DELETE /pools/{poolid}": _on_pool(remove, _MAY_CHANGE),
}
