"""The calls the lab knows, with their parameters: `CALLS["GET /nodes/{node}/lxc"]`.

Only declarations; a contract test holds them against the table derived from Proxmox' own schema.
"""

from collections.abc import Mapping
from typing import Final

from slipway.lab.schema.backups import BACKUPS
from slipway.lab.schema.container import OPTIONS
from slipway.lab.schema.parameters import Parameter, flag, integer, number, text
from slipway.lab.schema.surroundings import SURROUNDINGS

Parameters = Mapping[str, Parameter]

_FREE_VMID: Final = integer(format="pve-vmid", minimum=100, maximum=999_999_999)
_VMID: Final = integer(required=True, format="pve-vmid", minimum=100, maximum=999_999_999)
_NODE: Final[Parameters] = {"node": text(required=True, format="pve-node")}
_CONTAINER: Final[Parameters] = {**_NODE, "vmid": _VMID}
_SNAPSHOT: Final[Parameters] = {
    **_CONTAINER,
    "snapname": text(required=True, format="pve-configid", max_length=40),
}
_STORAGE: Final[Parameters] = {**_NODE, "storage": text(required=True, format="pve-storage-id")}
_TASK: Final[Parameters] = {**_NODE, "upid": text(required=True)}

_ACCESS: Final[Mapping[str, Parameters]] = {
    "GET /": {},
    "GET /version": {},
    "GET /access": {},
    "GET /access/domains": {},
    "GET /access/ticket": {},
    "POST /access/ticket": {
        "new-format": flag(),
        "otp": text(),
        "password": text(required=True),
        "path": text(max_length=64, requires="privs"),
        "privs": text(format="pve-priv-list", max_length=64, requires="path"),
        "realm": text(format="pve-realm", max_length=32),
        "tfa-challenge": text(),
        "username": text(required=True, max_length=64),
    },
    "GET /access/permissions": {
        "path": text(),
        "userid": text(
            pattern=r"(?:^(?:[^\s:/]+)\@(?:[A-Za-z][A-Za-z0-9\.\-_]+)(?:!(?:[A-Za-z][A-Za-z0-9\.\-_]+))?$)"
        ),
    },
}

_CLUSTER: Final[Mapping[str, Parameters]] = {
    "GET /cluster": {},
    "GET /cluster/nextid": {"vmid": _FREE_VMID},
    "GET /cluster/options": {},
    "GET /cluster/resources": {"type": text(choices=("vm", "storage", "node", "sdn"))},
    "GET /cluster/status": {},
    "GET /cluster/tasks": {},
}

_NODES: Final[Mapping[str, Parameters]] = {
    "GET /nodes": {},
    "GET /nodes/{node}": _NODE,
    "GET /nodes/{node}/aplinfo": _NODE,
    "POST /nodes/{node}/aplinfo": {**_STORAGE, "template": text(required=True, max_length=255)},
    "GET /nodes/{node}/certificates": _NODE,
    "GET /nodes/{node}/certificates/info": _NODE,
    "GET /nodes/{node}/dns": _NODE,
    "GET /nodes/{node}/network": {
        **_NODE,
        "type": text(
            choices=(
                "bridge",
                "bond",
                "eth",
                "alias",
                "vlan",
                "fabric",
                "OVSBridge",
                "OVSBond",
                "OVSPort",
                "OVSIntPort",
                "vnet",
                "any_bridge",
                "any_local_bridge",
                "include_sdn",
            )
        ),
    },
    "GET /nodes/{node}/status": _NODE,
    "GET /nodes/{node}/time": _NODE,
}

_STORAGES: Final[Mapping[str, Parameters]] = {
    "GET /storage": {
        "type": text(
            choices=(
                "btrfs",
                "cephfs",
                "cifs",
                "dir",
                "esxi",
                "iscsi",
                "iscsidirect",
                "lvm",
                "lvmthin",
                "nfs",
                "pbs",
                "rbd",
                "zfs",
                "zfspool",
            )
        )
    },
    "GET /nodes/{node}/storage": {
        **_NODE,
        "content": text(format="pve-storage-content-list"),
        "enabled": flag(),
        "format": flag(),
        "storage": text(format="pve-storage-id"),
        "target": text(format="pve-node"),
    },
    "GET /nodes/{node}/storage/{storage}": _STORAGE,
    "GET /nodes/{node}/storage/{storage}/content": {
        **_STORAGE,
        "content": text(format="pve-storage-content"),
        "vmid": _FREE_VMID,
    },
    "GET /nodes/{node}/storage/{storage}/status": _STORAGE,
}

_TASKS: Final[Mapping[str, Parameters]] = {
    "GET /nodes/{node}/tasks": {
        **_NODE,
        "errors": flag(),
        "limit": integer(minimum=0),
        "since": integer(),
        "source": text(choices=("archive", "active", "all")),
        "start": integer(minimum=0),
        "statusfilter": text(format="pve-task-status-type-list"),
        "typefilter": text(),
        "until": integer(),
        "userfilter": text(),
        "vmid": _FREE_VMID,
    },
    "GET /nodes/{node}/tasks/{upid}": _TASK,
    "DELETE /nodes/{node}/tasks/{upid}": _TASK,
    "GET /nodes/{node}/tasks/{upid}/log": {
        **_TASK,
        "download": flag(),
        "limit": integer(minimum=0),
        "start": integer(minimum=0),
    },
    "GET /nodes/{node}/tasks/{upid}/status": _TASK,
}

_CONTAINERS: Final[Mapping[str, Parameters]] = {
    "GET /nodes/{node}/lxc": _NODE,
    "POST /nodes/{node}/lxc": {
        **_CONTAINER,
        **OPTIONS,
        "bwlimit": number(minimum=0),
        "force": flag(),
        "ha-managed": flag(),
        "ignore-unpack-errors": flag(),
        "ostemplate": text(required=True, max_length=255),
        "password": text(min_length=5),
        "pool": text(format="pve-poolid"),
        "restore": flag(),
        "ssh-public-keys": text(),
        "start": flag(),
        "storage": text(format="pve-storage-id"),
        "unique": flag(requires="restore"),
    },
    "GET /nodes/{node}/lxc/{vmid}": _CONTAINER,
    "DELETE /nodes/{node}/lxc/{vmid}": {
        **_CONTAINER,
        "destroy-unreferenced-disks": flag(),
        "force": flag(),
        "purge": flag(),
    },
    "GET /nodes/{node}/lxc/{vmid}/config": {
        **_CONTAINER,
        "current": flag(),
        "snapshot": text(format="pve-configid", max_length=40),
    },
    "PUT /nodes/{node}/lxc/{vmid}/config": {
        **_CONTAINER,
        **OPTIONS,
        "delete": text(format="pve-configid-list"),
        "digest": text(max_length=40),
        "revert": text(format="pve-configid-list"),
    },
    "POST /nodes/{node}/lxc/{vmid}/clone": {
        **_CONTAINER,
        "bwlimit": number(minimum=0),
        "description": text(),
        "full": flag(),
        "hostname": text(format="dns-name"),
        "newid": _VMID,
        "pool": text(format="pve-poolid"),
        "snapname": text(format="pve-configid", max_length=40),
        "storage": text(format="pve-storage-id"),
        "target": text(format="pve-node"),
    },
    "GET /nodes/{node}/lxc/{vmid}/feature": {
        **_CONTAINER,
        "feature": text(required=True, choices=("snapshot", "clone", "copy")),
        "snapname": text(format="pve-configid", max_length=40),
    },
    "GET /nodes/{node}/lxc/{vmid}/interfaces": _CONTAINER,
    "GET /nodes/{node}/lxc/{vmid}/migrate": {**_CONTAINER, "target": text(format="pve-node")},
    "POST /nodes/{node}/lxc/{vmid}/migrate": {
        **_CONTAINER,
        "bwlimit": number(minimum=0),
        "online": flag(),
        "restart": flag(),
        "target": text(required=True, format="pve-node"),
        "target-storage": text(format="storage-pair-list"),
        "timeout": integer(),
    },
    "GET /nodes/{node}/lxc/{vmid}/pending": _CONTAINER,
    "PUT /nodes/{node}/lxc/{vmid}/resize": {
        **_CONTAINER,
        "digest": text(max_length=40),
        "disk": text(required=True, choices=("rootfs", *(f"mp{number}" for number in range(256)))),
        "size": text(required=True, pattern=r"\+?\d+(\.\d+)?[KMGT]?"),
    },
    "GET /nodes/{node}/lxc/{vmid}/rrddata": {
        **_CONTAINER,
        "cf": text(choices=("AVERAGE", "MAX")),
        "timeframe": text(required=True, choices=("hour", "day", "week", "month", "year")),
    },
    "GET /nodes/{node}/lxc/{vmid}/snapshot": _CONTAINER,
    "POST /nodes/{node}/lxc/{vmid}/snapshot": {**_SNAPSHOT, "description": text()},
    "GET /nodes/{node}/lxc/{vmid}/snapshot/{snapname}": _SNAPSHOT,
    "GET /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config": _SNAPSHOT,
    "PUT /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config": {**_SNAPSHOT, "description": text()},
    "DELETE /nodes/{node}/lxc/{vmid}/snapshot/{snapname}": {**_SNAPSHOT, "force": flag()},
    "POST /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback": {**_SNAPSHOT, "start": flag()},
    "POST /nodes/{node}/lxc/{vmid}/template": _CONTAINER,
    "GET /nodes/{node}/lxc/{vmid}/status": _CONTAINER,
    "GET /nodes/{node}/lxc/{vmid}/status/current": _CONTAINER,
    "POST /nodes/{node}/lxc/{vmid}/status/reboot": {**_CONTAINER, "timeout": integer(minimum=0)},
    "POST /nodes/{node}/lxc/{vmid}/status/shutdown": {
        **_CONTAINER,
        "forceStop": flag(),
        "timeout": integer(minimum=0),
    },
    "POST /nodes/{node}/lxc/{vmid}/status/resume": _CONTAINER,
    "POST /nodes/{node}/lxc/{vmid}/status/suspend": _CONTAINER,
    "POST /nodes/{node}/lxc/{vmid}/status/start": {**_CONTAINER, "debug": flag(), "skiplock": flag()},
    "POST /nodes/{node}/lxc/{vmid}/status/stop": {
        **_CONTAINER,
        "overrule-shutdown": flag(),
        "skiplock": flag(),
    },
}

CALLS: Final[Mapping[str, Parameters]] = {
    **_ACCESS,
    **_CLUSTER,
    **_NODES,
    **_STORAGES,
    **_TASKS,
    **BACKUPS,
    **SURROUNDINGS,
    **_CONTAINERS,
}
