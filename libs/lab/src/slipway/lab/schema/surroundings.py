"""The parameters of pools, HA, logs and of what the lab refuses to do. Only declarations, as in `calls`."""

from collections.abc import Mapping
from typing import Final

from slipway.lab.schema.parameters import Parameter, flag, integer, number, text

Parameters = Mapping[str, Parameter]
_NODE: Final[Parameters] = {"node": text(required=True, format="pve-node")}
_VMID: Final = integer(required=True, format="pve-vmid", minimum=100, maximum=999_999_999)
_CONTAINER: Final[Parameters] = {**_NODE, "vmid": _VMID}
_DISKS: Final = (
    "rootfs",
    *(f"mp{number}" for number in range(256)),
    *(f"unused{number}" for number in range(256)),
)
_POOL: Final[Parameters] = {"poolid": text(required=True, format="pve-poolid")}
_POOL_TYPES: Final = ("qemu", "lxc", "storage")
_POOL_CHANGE: Final[Parameters] = {
    **_POOL,
    "allow-move": flag(),
    "comment": text(),
    "delete": flag(),
    "storage": text(format="pve-storage-id-list"),
    "vms": text(format="pve-vmid-list"),
}
_SID: Final[Parameters] = {"sid": text(required=True, format="pve-ha-resource-or-vm-id")}

SURROUNDINGS: Final[Mapping[str, Parameters]] = {
    "GET /access/acl": {},
    "GET /access/roles": {},
    "GET /pools": {
        "poolid": text(format="pve-poolid"),
        "type": text(choices=_POOL_TYPES, requires="poolid"),
    },
    "POST /pools": {**_POOL, "comment": text()},
    "PUT /pools": _POOL_CHANGE,
    "DELETE /pools": _POOL,
    "GET /pools/{poolid}": {**_POOL, "type": text(choices=_POOL_TYPES)},
    "PUT /pools/{poolid}": _POOL_CHANGE,
    "DELETE /pools/{poolid}": _POOL,
    "GET /cluster/ha": {},
    "GET /cluster/ha/status": {},
    "GET /cluster/ha/status/current": {},
    "GET /cluster/ha/resources": {"type": text(choices=("ct", "vm"))},
    "GET /cluster/ha/resources/{sid}": _SID,
    "GET /cluster/log": {"max": integer(minimum=1)},
    "GET /cluster/sdn/zones": {
        "pending": flag(),
        "running": flag(),
        "type": text(choices=("evpn", "faucet", "qinq", "simple", "vlan", "vxlan")),
    },
    "GET /nodes/{node}/capabilities/qemu/cpu": {**_NODE, "arch": text(choices=("x86_64", "aarch64"))},
    "GET /nodes/{node}/qemu": {**_NODE, "full": flag()},
    "GET /nodes/{node}/rrddata": {
        **_NODE,
        "cf": text(choices=("AVERAGE", "MAX")),
        "timeframe": text(required=True, choices=("hour", "day", "week", "month", "year", "decade")),
    },
    "GET /nodes/{node}/version": _NODE,
    "POST /nodes/{node}/lxc/{vmid}/termproxy": _CONTAINER,
    "POST /nodes/{node}/lxc/{vmid}/vncproxy": {
        **_CONTAINER,
        "height": integer(minimum=16, maximum=2160),
        "websocket": flag(),
        "width": integer(minimum=16, maximum=4096),
    },
    "POST /nodes/{node}/lxc/{vmid}/move_volume": {
        **_CONTAINER,
        "bwlimit": number(minimum=0),
        "delete": flag(),
        "digest": text(max_length=40),
        "storage": text(format="pve-storage-id"),
        "target-digest": text(max_length=40),
        "target-vmid": integer(format="pve-vmid", minimum=100, maximum=999_999_999),
        "target-volume": text(choices=_DISKS),
        "volume": text(required=True, choices=_DISKS),
    },
}
