"""Derive `calls.json` from Proxmox' official API schema: the calls in use, and what may be said in them.

    python tests/contract/pve/derive.py SCHEMA.json > libs/lab/src/slipway/lab/schema/calls.json

The schema itself is not part of this project; the table keeps only names, types and bounds of the calls
that Slipway sends. `IN_USE` is the list to extend when a new call is needed.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

IN_USE = (
    "GET /version",
    "GET /access",
    "GET /access/domains",
    "GET /access/ticket",
    "POST /access/ticket",
    "GET /access/acl",
    "GET /access/permissions",
    "GET /access/roles",
    "GET /cluster",
    "GET /cluster/ha",
    "GET /cluster/ha/resources",
    "GET /cluster/ha/resources/{sid}",
    "GET /cluster/ha/status",
    "GET /cluster/ha/status/current",
    "GET /cluster/log",
    "GET /cluster/nextid",
    "GET /cluster/options",
    "GET /cluster/resources",
    "GET /cluster/sdn/vnets",
    "GET /cluster/sdn/zones",
    "GET /cluster/status",
    "GET /cluster/tasks",
    "GET /nodes",
    "GET /nodes/{node}",
    "GET /nodes/{node}/aplinfo",
    "POST /nodes/{node}/aplinfo",
    "GET /nodes/{node}/certificates",
    "GET /nodes/{node}/certificates/info",
    "GET /nodes/{node}/capabilities/qemu/cpu",
    "GET /nodes/{node}/dns",
    "GET /nodes/{node}/hardware",
    "GET /nodes/{node}/hardware/pci",
    "GET /nodes/{node}/lxc",
    "POST /nodes/{node}/lxc",
    "GET /nodes/{node}/lxc/{vmid}",
    "DELETE /nodes/{node}/lxc/{vmid}",
    "GET /nodes/{node}/lxc/{vmid}/config",
    "PUT /nodes/{node}/lxc/{vmid}/config",
    "POST /nodes/{node}/lxc/{vmid}/clone",
    "GET /nodes/{node}/lxc/{vmid}/feature",
    "GET /nodes/{node}/lxc/{vmid}/interfaces",
    "GET /nodes/{node}/lxc/{vmid}/migrate",
    "POST /nodes/{node}/lxc/{vmid}/migrate",
    "GET /nodes/{node}/lxc/{vmid}/pending",
    "POST /nodes/{node}/lxc/{vmid}/move_volume",
    "PUT /nodes/{node}/lxc/{vmid}/resize",
    "GET /nodes/{node}/lxc/{vmid}/rrddata",
    "GET /nodes/{node}/lxc/{vmid}/snapshot",
    "POST /nodes/{node}/lxc/{vmid}/snapshot",
    "DELETE /nodes/{node}/lxc/{vmid}/snapshot/{snapname}",
    "POST /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback",
    "GET /nodes/{node}/lxc/{vmid}/snapshot/{snapname}",
    "GET /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
    "PUT /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
    "POST /nodes/{node}/lxc/{vmid}/template",
    "GET /nodes/{node}/lxc/{vmid}/status",
    "GET /nodes/{node}/lxc/{vmid}/status/current",
    "POST /nodes/{node}/lxc/{vmid}/status/reboot",
    "POST /nodes/{node}/lxc/{vmid}/status/shutdown",
    "POST /nodes/{node}/lxc/{vmid}/status/resume",
    "POST /nodes/{node}/lxc/{vmid}/status/start",
    "POST /nodes/{node}/lxc/{vmid}/status/stop",
    "POST /nodes/{node}/lxc/{vmid}/status/suspend",
    "POST /nodes/{node}/lxc/{vmid}/termproxy",
    "POST /nodes/{node}/lxc/{vmid}/vncproxy",
    "GET /nodes/{node}/network",
    "GET /nodes/{node}/qemu",
    "GET /nodes/{node}/rrddata",
    "GET /nodes/{node}/status",
    "GET /nodes/{node}/storage",
    "GET /nodes/{node}/storage/{storage}",
    "GET /nodes/{node}/storage/{storage}/content",
    "GET /nodes/{node}/storage/{storage}/content/{volume}",
    "PUT /nodes/{node}/storage/{storage}/content/{volume}",
    "DELETE /nodes/{node}/storage/{storage}/content/{volume}",
    "GET /nodes/{node}/storage/{storage}/status",
    "GET /nodes/{node}/tasks",
    "GET /nodes/{node}/tasks/{upid}",
    "DELETE /nodes/{node}/tasks/{upid}",
    "GET /nodes/{node}/tasks/{upid}/log",
    "GET /nodes/{node}/tasks/{upid}/status",
    "GET /nodes/{node}/time",
    "GET /nodes/{node}/version",
    "POST /nodes/{node}/vzdump",
    "GET /nodes/{node}/vzdump/extractconfig",
    "GET /pools",
    "POST /pools",
    "PUT /pools",
    "DELETE /pools",
    "GET /pools/{poolid}",
    "PUT /pools/{poolid}",
    "DELETE /pools/{poolid}",
    "GET /storage",
)

Json = dict[str, Any]
STORED = (
    "type",
    "optional",
    "minimum",
    "maximum",
    "enum",
    "maxLength",
    "minLength",
    "requires",
    "default_key",
    "pattern",
)


def main() -> None:
    """Print the table of the schema named on the command line."""
    schema = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    rows = (f"{json.dumps(call)}: {json.dumps(row, sort_keys=True)}" for call, row in derive(schema).items())
    sys.stdout.write("{\n" + ",\n".join(rows) + "\n}\n")


def derive(schema: list[Json]) -> dict[str, Json]:
    """Take the calls in use out of the whole schema."""
    methods = dict(_methods(schema))
    return {call: _row(methods[call]) for call in IN_USE}


def _methods(nodes: list[Json]) -> Iterator[tuple[str, Json]]:
    for node in nodes:
        for method, described in node.get("info", {}).items():
            yield f"{method} {node['path'] or '/'}", described
        yield from _methods(node.get("children", []))


def _row(described: Json) -> Json:
    properties = described["parameters"].get("properties", {})
    return {
        "parameters": {name: _property(one) for name, one in sorted(properties.items())},
        "token": bool(described.get("allowtoken", 1)),
        "returns": _returned(described.get("returns", {})),
    }


def _property(described: Json) -> Json:
    stored = {key: described[key] for key in STORED if key in described}
    stored |= {bound: int(stored[bound]) for bound in ("minimum", "maximum") if bound in stored}
    if "pattern" in stored:
        stored["pattern"] = python_pattern(stored["pattern"])
    match described.get("format"):
        case str(name):
            stored["format"] = name
        case Mapping() as parts:
            stored["format"] = {name: _property(part) for name, part in sorted(parts.items())}
        case _:
            pass
    return stored


def _returned(described: Json) -> Json:
    stored: Json = {"type": described.get("type", "null")}
    if "items" in described:
        stored["items"] = _returned(described["items"])
    if "properties" in described:
        stored["properties"] = {
            name: {key: one[key] for key in ("type", "optional", "enum") if key in one}
            for name, one in sorted(described["properties"].items())
        }
    return stored


def python_pattern(perl: str) -> str:
    """Rewrite a Perl pattern's flag groups, the only thing in it that Python has no word for."""
    return re.sub(r"\(\?\^:", "(?:", perl)


if __name__ == "__main__":
    main()
