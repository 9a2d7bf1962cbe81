"""What the lab answers, against what Proxmox' schema says that is returned."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.lab.faults import HaManaged, SdnVnet
from slipway.lab.node import Lab
from slipway.lab.schema.calls import TABLE
from support.lab import api_client, ended, new_container, root_client, running_lab, started

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (int,), "object": (dict,),
    "array": (list,), "null": (type(None),),
}  # fmt: skip
NODE = "/nodes/{node}"
CONTAINER = "/nodes/{node}/lxc/{vmid}"
QUERIES = {
    f"{CONTAINER}/rrddata": "?timeframe=hour",
    f"{NODE}/rrddata": "?timeframe=hour",
    f"{CONTAINER}/feature": "?feature=snapshot",
}
BESIDE_THE_SCHEMA = {
    ("GET /cluster/nextid", "data"): "documented as a number, answered as text (PVE 9.2, recorded)",
    ("GET /nodes/{node}/lxc/{vmid}/pending", "value"): "numbers are answered as numbers (PVE 9.2, recorded)",
    ("GET /cluster/tasks", "endtime"): "only its `upid` is documented",
}
"""Where behaviour and schema differ, behaviour wins."""
NAMES = {"poolid": "team1", "sid": "ct:100"}
NAMED = ("{upid}", "{snapname}", "{volume}")
OF_BACKUPS = "extractconfig"
"""Reads a backup, of which there is none here."""
READS = sorted(
    call
    for call in TABLE
    if call.startswith("GET ") and not any(name in call for name in (*NAMED, OF_BACKUPS))
)


async def prepare(lab: Lab) -> None:
    """Make what else there is to read about."""
    lab.faults.order(HaManaged(vmid=100))
    lab.faults.order(SdnVnet(vnet="dmz", tag=30))
    async with root_client(lab) as root:
        await root.post("/pools", data={"poolid": "team1"})


@pytest.mark.parametrize("state", ["stopped", "running"])
async def test_answers_fit_the_schema(tmp_path: Path, state: str) -> None:
    """Everything that can be read has the documented type and keys, with a container stopped and running."""
    violations = []

    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await prepare(lab)
        await (started if state == "running" else new_container)(client, lab, tags="a;b")
        for call in READS:
            path = call.removeprefix("GET ")
            url = path.format(node=lab.name, vmid=100, storage="local", **NAMES) + QUERIES.get(path, "")
            answer = await client.get(url)
            assert answer.status_code == 200, (url, answer.text)
            violations += _violations(call, TABLE[call]["returns"], answer.json()["data"])

    assert violations == []


async def test_task_answers_fit_the_schema(tmp_path: Path) -> None:
    """A task's status, log and index have the documented type and keys."""
    violations = []

    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await new_container(client, lab)
        upid = (await client.get(f"/nodes/{lab.name}/tasks")).json()["data"][0]["upid"]
        for call in (call for call in TABLE if "{upid}" in call and call.startswith("GET ")):
            answer = await client.get(call.removeprefix("GET ").format(node=lab.name, upid=upid))
            violations += _violations(call, TABLE[call]["returns"], answer.json()["data"])

    assert violations == []


async def test_answers_about_what_is_stored_fit_the_schema(tmp_path: Path) -> None:
    """A snapshot and a disk have the documented type and keys."""
    violations = []

    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await new_container(client, lab, rootfs="local-lvm:1")
        upid = (await client.post(f"/nodes/{lab.name}/lxc/100/snapshot", data={"snapname": "s1"})).json()[
            "data"
        ]
        assert await ended(client, upid) == "OK"
        named = {
            "node": lab.name,
            "vmid": 100,
            "snapname": "s1",
            "storage": "local-lvm",
            "volume": "vm-100-disk-0",
        }
        for call in (
            call for call in TABLE if call.startswith("GET ") and any(name in call for name in NAMED[1:])
        ):
            answer = await client.get(call.removeprefix("GET ").format(**named))
            assert answer.status_code == 200, (call, answer.text)
            violations += _violations(call, TABLE[call]["returns"], answer.json()["data"])

    assert violations == []


async def test_writes_answer_with_a_task_or_nothing(tmp_path: Path) -> None:
    """Calls that change something answer with the name of a task, or with null where it is done at once."""
    async with running_lab(tmp_path) as lab, root_client(lab) as client:
        await new_container(client, lab)
        start = await client.post(f"/nodes/{lab.name}/lxc/100/status/start")
        change = await client.put(f"/nodes/{lab.name}/lxc/100/config", data={"memory": 256})

    assert _is_task(start, "vzstart")
    assert change.json() == {"data": None}


def _is_task(answer: httpx.Response, kind: str) -> bool:
    return str(answer.json()["data"]).split(":")[5] == kind


def _violations(call: str, rule: dict[str, Any], value: Any, at: str = "data") -> list[str]:
    if (call, at) in BESIDE_THE_SCHEMA or value is None:
        return []
    kind = rule.get("type", "string")
    if not isinstance(value, KINDS[kind]):
        return [f"{call} {at} is {type(value).__name__} instead of {kind}"]
    violations: list[str] = []
    for row in value if isinstance(value, list) and "items" in rule else ():
        violations += _violations(call, rule["items"], row, "row")
    if isinstance(value, dict):
        for name, one in rule.get("properties", {}).items():
            if name in value:
                violations += _violations(call, one, value[name], name)
            elif not one.get("optional"):
                violations.append(f"{call} {at} lacks {name}")
    return violations
