"""The parameters of vzdump, and of what is done with what it made. Only declarations, as in `calls`."""

from collections.abc import Mapping
from typing import Final

from slipway.lab.schema.parameters import Parameter, array, flag, integer, text

_NODE: Final = text(format="pve-node")
_VOLUME: Final = "/nodes/{node}/storage/{storage}/content/{volume}"
_ADDRESS: Final[Mapping[str, Parameter]] = {
    "node": text(required=True, format="pve-node"),
    "storage": text(format="pve-storage-id"),
    "volume": text(required=True),
}
VZDUMP: Final[Mapping[str, Parameter]] = {
    "all": flag(),
    "bwlimit": integer(minimum=0),
    "compress": text(choices=("0", "1", "gzip", "lzo", "zstd")),
    "dumpdir": text(),
    "exclude": text(format="pve-vmid-list"),
    "exclude-path": array(),
    "fleecing": text(format="backup-fleecing"),
    "ionice": integer(minimum=0, maximum=8),
    "job-id": text(pattern=r"\S+", max_length=50),
    "lockwait": integer(minimum=0),
    "mailnotification": text(choices=("always", "failure")),
    "mailto": text(format="email-or-username-list"),
    "mode": text(choices=("snapshot", "suspend", "stop")),
    "node": _NODE,
    "notes-template": text(max_length=1024, requires="storage"),
    "notification-mode": text(choices=("auto", "legacy-sendmail", "notification-system")),
    "pbs-change-detection-mode": text(choices=("legacy", "data", "metadata")),
    "performance": text(format="backup-performance"),
    "pigz": integer(),
    "pool": text(),
    "protected": flag(requires="storage"),
    "prune-backups": text(format="prune-backups"),
    "quiet": flag(),
    "remove": flag(),
    "script": text(),
    "stdexcludes": flag(),
    "stdout": flag(),
    "stop": flag(),
    "stopwait": integer(minimum=0),
    "storage": text(format="pve-storage-id"),
    "tmpdir": text(),
    "vmid": text(format="pve-vmid-list"),
    "zstd": integer(),
}
BACKUPS: Final[Mapping[str, Mapping[str, Parameter]]] = {
    "POST /nodes/{node}/vzdump": VZDUMP,
    "GET /nodes/{node}/vzdump/extractconfig": {
        "node": text(required=True, format="pve-node"),
        "volume": text(required=True),
    },
    f"DELETE {_VOLUME}": {**_ADDRESS, "delay": integer(minimum=1, maximum=30)},
    f"GET {_VOLUME}": _ADDRESS,
    f"PUT {_VOLUME}": {**_ADDRESS, "notes": text(), "protected": flag()},
}
