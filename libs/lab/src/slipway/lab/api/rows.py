"""What orders make of lists and objects: rows that the lab would not have, and changed ones."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from slipway.lab.access.actors import Actor
from slipway.lab.faults import ChangedRows, ForeignRows
from slipway.lab.faults.standing import Faults

RESOURCES = "/cluster/resources"
_KINDS = {"vm": ("lxc", "qemu"), "storage": ("storage",), "node": ("node",), "sdn": ("network", "sdn")}


def ordered(faults: Faults, path: str, actor: Actor, params: Mapping[str, str], result: Any) -> Any:
    """Return a result as it is to be shown; `type` of `/cluster/resources` is applied here."""
    if isinstance(result, list):
        orders = (one for one in faults.all(ForeignRows) if fnmatchcase(path, one.path))
        result = [*result, *(row for one in orders for row in one.rows if _is_visible(actor, row))]
        result = [_changed(faults, path, row) for row in result]
    else:
        result = _changed(faults, path, result)
    kinds = _KINDS.get(params.get("type", "")) if path == RESOURCES else None
    return result if kinds is None else [row for row in result if row.get("type") in kinds]


def _is_visible(actor: Actor, row: Mapping[str, Any]) -> bool:
    return "vmid" not in row or actor.may(f"/vms/{row['vmid']}", "VM.Audit")


def _changed(faults: Faults, path: str, row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    for order in faults.all(ChangedRows):
        is_meant = all(key in row and row[key] == value for key, value in order.where.items())
        if fnmatchcase(path, order.path) and is_meant:
            row = {key: value for key, value in row.items() if key not in order.without} | dict(order.values)
    return row
