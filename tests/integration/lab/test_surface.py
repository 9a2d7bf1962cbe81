"""What a client meets beside containers: odd requests, pools, rights, HA, logs, consoles."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.lab.faults import ForeignRows, HaManaged, RightsTaken
from support.lab import api_client, ended, new_container, root_client, running_lab, template_of

LXC = "/nodes/lab/lxc"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICP+qXG+Or3eDRQ2cRKjwlsfm5u1Yc8pHsR0o0mMS1Vg"


async def data(client: httpx.AsyncClient, path: str) -> Any:
    """Ask for something that is there."""
    answer = await client.get(path)
    assert answer.status_code == 200, (answer.reason_phrase, answer.text)
    return answer.json()["data"]


@pytest.mark.parametrize("method", ["PATCH", "HEAD", "OPTIONS"])
async def test_methods_that_there_are_not(tmp_path: Path, method: str) -> None:
    """They are refused before anything is looked at, without a body."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        answer = await client.request(method, f"{LXC}/100/config", headers={"Authorization": ""})

    assert (answer.status_code, answer.text) == (501, "")
    assert answer.reason_phrase == f"method '{method}' not available"


async def test_bodies(tmp_path: Path) -> None:
    """JSON is as good as a form, its flags and numbers too; other contents are refused, and bad JSON."""
    plain, form = {"Content-Type": "text/plain"}, {"vmid": "100", "ostemplate": "local:vztmpl/none.tar"}
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        refused = await client.post(LXC, content="x", headers=plain)
        body = {"vmid": 100, "ostemplate": await template_of(client, lab), "unprivileged": True}
        created = await client.post(LXC, json={**body, "features": "nesting=1"})
        end = await ended(client, created.json()["data"])
        config = await data(client, f"{LXC}/100/config")
        bad = await client.post(LXC, content="{", headers={"Content-Type": "application/json"})
        text = await client.post(LXC, data=form | {"unprivileged": "True"})
        unexpected = await client.request("DELETE", f"{LXC}/100", data={"purge": "1"})

    reason = "upload 'Content-Type 'text/plain' not implemented"
    assert (refused.status_code, refused.reason_phrase, refused.text) == (506, reason, reason)
    assert "content-type" not in refused.headers
    assert (end, config["unprivileged"]) == ("OK", 1)
    assert (bad.status_code, "malformed JSON string" in bad.reason_phrase) == (501, True)
    assert text.json()["errors"] == {"unprivileged": "type check ('boolean') failed - got 'True'"}
    assert unexpected.reason_phrase == "Unexpected content for method 'DELETE'"


@pytest.mark.parametrize(
    ("keys", "is_taken"),
    [
        (f"{KEY}\n\n  \n{KEY} me\r\n", True),
        (f'from="10.0.0.0/8",command="echo \\"hi\\"" {KEY}', True),
        (f"# mine\n{KEY}", False),
        ("ssh-ed25519 AAAAAAAAAAAAAAAAAAAAAAAA", False),
        (KEY.replace("ssh-ed25519", "ssh-rsa"), False),
        (KEY[:-8], False),
    ],
)
async def test_each_line_of_keys_is_looked_at_by_itself(tmp_path: Path, keys: str, *, is_taken: bool) -> None:
    """An empty one is passed over; a comment is no key (PVE::Tools, `validate_ssh_public_keys`)."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        body = {"vmid": 100, "ostemplate": await template_of(client, lab), "ssh-public-keys": keys}
        answer = await client.post(LXC, json=body)

    assert (answer.status_code == 200) is is_taken
    assert is_taken or answer.reason_phrase == "SSH public key validation error"


async def test_pools(tmp_path: Path) -> None:
    """All that may be audited are listed; among the permissions their members are, not the pools."""
    async with (
        running_lab(tmp_path) as lab,
        api_client(lab) as client,
        root_client(lab) as root,
    ):
        orphan = await root.post("/pools", data={"poolid": "team1/web"})
        await root.post("/pools", data={"poolid": "team1", "comment": "ours"})
        again = await root.post("/pools", data={"poolid": "team1"})
        await new_container(client, lab, 100, pool="team1")
        unknown = await client.post(
            LXC, data={"vmid": 101, "ostemplate": await template_of(client, lab), "pool": "nopool"}
        )
        pools = await data(client, "/pools")
        members = (await data(client, "/pools?poolid=team1"))[0]["members"]
        permissions = await data(client, "/access/permissions")
        resources = await data(client, "/cluster/resources?type=vm")
        not_empty = await root.delete("/pools?poolid=team1")
        lab.faults.order(RightsTaken(path="/pool"))
        unseen = await data(client, "/pools")

    assert again.reason_phrase == "create pool failed: pool 'team1' already exists"
    assert orphan.reason_phrase.endswith("parent 'team1' of pool 'team1/web' does not exist")
    assert pools == [{"poolid": "team1", "comment": "ours"}]
    assert [(row["id"], row["pool"]) for row in members] == [("lxc/100", "team1")]
    assert resources[0]["pool"] == "team1"
    assert unknown.reason_phrase == "Permission check failed (pool 'nopool' does not exist)"
    assert "/vms/100" in permissions
    assert not [path for path in permissions if path.startswith("/pool/")]
    assert not_empty.reason_phrase == "delete pool failed: pool 'team1' is not empty (contains VMs)"
    assert unseen == []


async def test_pool_lives_on_and_can_be_emptied(tmp_path: Path) -> None:
    """Pools are there after a restart; a destroyed guest leaves its pool, and an empty one can go."""
    async with running_lab(tmp_path) as lab, root_client(lab) as root:
        await root.post("/pools", data={"poolid": "team1"})
        await new_container(root, lab)
        await root.put("/pools/team1", data={"vms": "100"})
    async with running_lab(tmp_path) as lab, root_client(lab) as root:
        members = (await data(root, "/pools/team1"))["members"]
        upid = (await root.delete(f"{LXC}/100")).json()["data"]
        await ended(root, upid)
        gone = await root.delete("/pools/team1")
        left = await data(root, "/pools")

    assert [row["vmid"] for row in members] == [100]
    assert (gone.status_code, left) == (200, [])


async def test_permissions_of_the_token(tmp_path: Path) -> None:
    """The paths at the top are listed where something is held there, by inheritance too."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        permissions = await data(client, "/access/permissions")
        acl = await data(client, "/access/acl")
        roles = {row["roleid"] for row in await data(client, "/access/roles")}

    top = ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"]
    assert sorted(permissions) == top
    assert permissions["/nodes"] == {"Sys.Audit": 1}
    assert permissions["/pool"] == {"Pool.Audit": 1}
    assert [(row["path"], row["roleid"], row["ugid"]) for row in acl][:2] == [
        ("/", "SlipwayNodes", "slipway@pve"),
        ("/pool", "SlipwayPools", "slipway@pve"),
    ]
    assert {row["roleid"] for row in acl} < roles


async def test_ha_status(tmp_path: Path) -> None:
    """Without HA guests a quorum and a fencing at rest; with one the manager, its hands and the guest."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await new_container(client, lab)
        idle = await data(client, "/cluster/ha/status/current")
        lab.faults.order(HaManaged(vmid=100, state="error"))
        busy = await data(client, "/cluster/ha/status/current")
        resources = await data(client, "/cluster/ha/resources")
        shown = await data(client, "/cluster/resources?type=vm")
        missing = await client.get("/cluster/ha/resources/ct:999")

    assert [(row["id"], row["status"]) for row in idle] == [
        ("quorum", "OK"),
        ("fencing", "standby (CRM watchdog standby)"),
    ]
    assert [row["id"] for row in busy] == ["quorum", "master", "lrm:lab", "service:ct:100"]
    assert busy[-1]["status"] == "ct:100 (lab, error)"
    assert resources[0] | {"sid": "ct:100", "state": "error"} == resources[0]
    assert shown[0]["hastate"] == "error"
    assert missing.reason_phrase == "no such resource 'ct:999'"


async def test_log_reports_tasks(tmp_path: Path) -> None:
    """Their begins and ends, the latest first; without the right to all, only one's own."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client, root_client(lab) as root:
        await new_container(client, lab)
        upid = (await root.delete(f"{LXC}/100")).json()["data"]
        await ended(root, upid)
        everything = await data(root, "/cluster/log")
        mine = await data(client, "/cluster/log?max=1")

    assert everything[0]["msg"] == f"end task {upid} OK"
    assert everything[1]["msg"] == f"starting task {upid}"
    assert len(everything) == 4
    assert [row["user"] for row in mine] == [lab.token_id]


async def test_consoles_and_disks_are_refused(tmp_path: Path) -> None:
    """First for want of a right, then in Proxmox' words."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client, root_client(lab) as root:
        await new_container(client, lab)
        token = [await client.post(f"{LXC}/100/{kind}") for kind in ("termproxy", "vncproxy")]
        terminal = await root.post(f"{LXC}/100/termproxy")
        form = {"volume": "rootfs", "storage": "local-lvm"}
        moves = [await root.post(f"{LXC}/{vmid}/move_volume", data=form) for vmid in (999, 100)]

    assert {one.reason_phrase for one in token} == {"Permission check failed (/vms/100, VM.Console)"}
    assert terminal.reason_phrase == "Timeout while waiting for port '5900' to get ready!"
    assert [one.status_code for one in moves] == [500, 501]
    assert moves[0].reason_phrase == "Configuration file 'nodes/lab/lxc/999.conf' does not exist"


async def test_machines_and_averages(tmp_path: Path) -> None:
    """Virtual machines that an order shows are in their node's list too; figures have their times."""
    row = {"type": "qemu", "vmid": 900, "node": "lab", "status": "paused", "id": "qemu/900"}
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        empty = await data(client, "/nodes/lab/qemu")
        lab.faults.order(ForeignRows(rows=(row,)))
        machines = await data(client, "/nodes/lab/qemu")
        averages = await data(client, "/nodes/lab/rrddata?timeframe=hour")
        zones = await data(client, "/cluster/sdn/zones")

    assert (empty, machines, zones) == ([], [row], [])
    assert len(averages) == 70
    assert averages[-1]["memtotal"] > 0
    assert set(averages[0]) == {"time"}
