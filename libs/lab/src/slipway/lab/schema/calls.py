"""The calls the lab knows, with their parameters, and the options of a container.

All of it is read from `calls.json`, which `tests/contract/pve/derive.py` derives from Proxmox' own schema.
"""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from slipway.lab.schema.parameters import Parameter, Parts

TABLE: Final[Mapping[str, Mapping[str, Any]]] = json.loads(
    resources.files(__package__).joinpath("calls.json").read_text(encoding="utf-8")
)
"""Parameters and answers by call: `TABLE["GET /nodes/{node}/lxc"]`."""
_CONFIG: Final = "PUT /nodes/{node}/lxc/{vmid}/config"
_NOT_STORED: Final = frozenset({"node", "vmid", "delete", "digest", "revert"})
"""Parameters of `_CONFIG` that say where and how to change a config, and are no options of it."""


def _parts(rows: Mapping[str, Any]) -> Parts:
    return {name: _parameter(row) for name, row in rows.items()}


def _parameter(row: Mapping[str, Any]) -> Parameter:
    form = row.get("format")
    return Parameter(
        kind=row["type"],
        required=not row.get("optional"),
        minimum=row.get("minimum"),
        maximum=row.get("maximum"),
        min_length=row.get("minLength"),
        max_length=row.get("maxLength"),
        choices=tuple(row.get("enum", ())),
        pattern=row.get("pattern"),
        format=form if isinstance(form, str) else None,
        parts=_parts(form) if isinstance(form, dict) else {},
        is_default_key=bool(row.get("default_key")),
        requires=row.get("requires"),
    )


CALLS: Final[Mapping[str, Parts]] = {"GET /": {}} | {
    call: _parts(row["parameters"]) for call, row in TABLE.items()
}
OPTIONS: Final = {name: one for name, one in CALLS[_CONFIG].items() if name not in _NOT_STORED}
"""What a container's configuration may hold."""
NETWORK: Final = OPTIONS["net[n]"].parts
FEATURES: Final = OPTIONS["features"].parts
ROOTFS: Final = OPTIONS["rootfs"].parts
MOUNT_POINT: Final = OPTIONS["mp[n]"].parts
DEVICE: Final = OPTIONS["dev[n]"].parts
