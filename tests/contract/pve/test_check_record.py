"""The check that every request fits Proxmox' schema: what it finds and what it lets pass."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.pve_schema import check_record, check_request

LXC = "/nodes/pve1/lxc"
UPID = "UPID%3Apve1%3A00000001%3A00000001%3A00000001%3Avzstart%3A100%3Aroot%40pam%3A"
CREATE = {"vmid": 100, "ostemplate": "local:vztmpl/x.tar.zst"}


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("GET", "/nodes/pve1/lxc/100/status/current", {}),
        ("GET", "/api2/json/nodes/pve1/tasks?limit=0", {"vmid": "100"}),
        ("GET", f"/nodes/pve1/tasks/{UPID}/log", {}),
        ("POST", LXC, {**CREATE, "net0": "name=eth0,bridge=vmbr0,ip=dhcp", "unprivileged": True}),
        ("POST", LXC, {**CREATE, "password": "********", "rootfs": "local-lvm:8", "tags": "a;b"}),
    ],
)  # fmt: skip
def test_fitting_requests_pass(method: str, path: str, params: dict[str, Any]) -> None:
    """What Proxmox takes is no violation."""
    assert check_request(method, path, params) == []


@pytest.mark.parametrize(
    ("method", "path", "params", "expected"),
    [
        ("GET", "/nope", {}, "no such call"),
        ("PUT", "/version", {}, "no such call"),
        ("GET", "/version", {"x": 1}, "x is not in the schema"),
        ("GET", "/nodes/pve1/lxc/abc/config", {}, "vmid is no integer"),
        ("POST", LXC, {"vmid": 100}, "ostemplate is missing"),
        ("POST", LXC, {**CREATE, "memory": 1}, "memory is out of bounds"),
        ("POST", LXC, {**CREATE, "onboot": "True"}, "onboot is no boolean"),
        ("POST", LXC, {**CREATE, "net0": "bridge=vmbr0"}, "net0.name is missing"),
        ("POST", LXC, {**CREATE, "features": "nest=1"}, "features.nest is not in the schema"),
        ("POST", LXC, {**CREATE, "hostname": "_"}, "hostname: value does not look like"),
        ("POST", LXC, {**CREATE, "ostype": "windows"}, "ostype is none of"),
        ("POST", LXC, {**CREATE, "unique": 1}, "unique requires restore"),
    ],
)
def test_other_requests_are_named(method: str, path: str, params: dict[str, Any], expected: str) -> None:
    """What Proxmox would refuse is reported, with the parameter's name."""
    (violation,) = check_request(method, path, params)

    assert expected in violation


def test_record_is_checked_line_by_line(tmp_path: Path) -> None:
    """A violation says in which file and line it was found."""
    record = tmp_path / "record.ndjson"
    paths = ("/version", "/nope")
    sent = [{"method": "GET", "path": path, "params": {}, "status": 200, "ms": 1.0} for path in paths]
    record.write_text("".join(f"{json.dumps(one)}\n" for one in sent))

    assert check_record(record) == ["record.ndjson:2: GET /nope: no such call is in use"]
