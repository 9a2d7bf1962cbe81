"""A lab of several nodes: one API for all, a shell on each, and containers that move between them."""

from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest

from slipway.lab.faults import HaManaged, NodeOffline, TaskFails, WorkerKilled
from slipway.lab.guests.choose import choose
from slipway.lab.guests.protocol import GuestError
from slipway.lab.node import Lab
from slipway.lab.site import OtherNodes, node_names
from support.lab import api_client, ended, new_container, running_lab, ssh_client, started, until

CONTAINER = "/nodes/{}/lxc/100"


async def asked(client: httpx.AsyncClient, path: str) -> Any:
    """Ask for something that is there."""
    answer = await client.get(path)
    assert answer.status_code == 200, (answer.reason_phrase, answer.text)
    return answer.json()["data"]


async def moved(client: httpx.AsyncClient, node: str = "pve1", **form: Any) -> tuple[str, list[str]]:
    """Move container 100; the task's end and log."""
    answer = await client.post(f"{CONTAINER.format(node)}/migrate", data=form)
    assert answer.status_code == 200, (answer.reason_phrase, answer.text)
    upid = answer.json()["data"]
    end = await ended(client, upid)
    log = await asked(client, f"/nodes/{node}/tasks/{upid}/log?limit=0")
    return end, [line["t"] for line in log]


async def refused(client: httpx.AsyncClient, **form: Any) -> tuple[int, str]:
    """Ask for a move that is refused at once; the status and the message."""
    answer = await client.post(f"{CONTAINER.format('pve1')}/migrate", data=form)
    return answer.status_code, answer.text


async def where(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Where container 100 is and what it does, by what each node itself says."""
    placements = []
    for node in ("pve1", "pve2"):
        rows = await asked(client, f"/nodes/{node}/lxc")
        placements += [(node, row["status"]) for row in rows if row["vmid"] == 100]
    return placements


async def test_one_api_answers_for_all_nodes(tmp_path: Path) -> None:
    """Both are online members; each has its own storages and shell, and the VMIDs are the cluster's."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab, as_root=True) as client:
        status = await asked(client, "/cluster/status")
        nodes = await asked(client, "/nodes")
        storages = {n: await asked(client, f"/nodes/{n}/storage") for n in ("pve1", "pve2")}
        await new_container(client, lab)
        taken = await client.post("/nodes/pve2/lxc", data={"vmid": 100, "ostemplate": "local:vztmpl/x.tar"})
        next_one = await asked(client, "/cluster/nextid")
        names = [await shell_output(lab, at, "hostname") for at in (0, 1)]

    assert status[0] == {
        "id": "cluster", "type": "cluster", "name": "lab", "version": 2, "nodes": 2, "quorate": 1
    }  # fmt: skip
    members = [(each["name"], each["nodeid"], each["online"], each["local"]) for each in status[1:]]
    assert members == [("pve1", 1, 1, 1), ("pve2", 2, 1, 0)]
    assert [(each["node"], each["status"]) for each in nodes] == [("pve1", "online"), ("pve2", "online")]
    shared = {n: {each["storage"]: each["shared"] for each in rows} for n, rows in storages.items()}
    assert shared["pve2"] == {"backup": 0, "local": 0, "local-lvm": 0, "shared": 1}
    assert shared["pve1"] == shared["pve2"] | {"fast": 0}
    assert "CT 100 already exists on node 'pve1'" in taken.text
    assert next_one == "101"
    assert names == ["pve1", "pve2"]


async def shell_output(lab: Lab, at: int, line: str) -> str:
    """Run a line in a node's own shell, with its own host key; what it printed."""
    door = lab.doors[at]
    known_hosts = asyncssh.import_known_hosts(f"[127.0.0.1]:{door.port} {door.host_key}\n")
    key = asyncssh.import_private_key(lab.ssh_private_key)
    async with asyncssh.connect(
        "127.0.0.1", door.port, username="root", client_keys=[key], known_hosts=known_hosts, config=None
    ) as connection:
        return str((await connection.run(line)).stdout).strip()


async def test_stopped_one_moves(tmp_path: Path) -> None:
    """Config and disks are the target's then, and nothing of it is left at the source."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        await new_container(client, lab, storage="local-lvm", hostname="web")
        before = await asked(client, f"{CONTAINER.format('pve1')}/config")
        end, log = await moved(client, target="pve2")
        after = await asked(client, f"{CONTAINER.format('pve2')}/config")
        gone = await client.get(f"{CONTAINER.format('pve1')}/config")
        disks = [await asked(client, f"/nodes/{n}/storage/local-lvm/content") for n in ("pve1", "pve2")]
        start = await client.post(f"{CONTAINER.format('pve2')}/status/start")
        ran = await ended(client, start.json()["data"])
        here = await where(client)

    assert end == "OK", log
    assert after == before
    assert "Configuration file 'nodes/pve1/lxc/100.conf' does not exist" in gone.text
    assert [[each["vmid"] for each in rows] for rows in disks] == [[], [100]]
    assert (ran, here) == ("OK", [("pve2", "running")])


async def test_running_one_is_restarted(tmp_path: Path) -> None:
    """Without `restart` it is refused at once; with it a task of the target starts it there."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        await started(client, lab)
        status, message = await refused(client, target="pve2")
        end, log = await moved(client, target="pve2", restart=1)
        starts = await asked(client, "/nodes/pve2/tasks?typefilter=vzstart")
        here = await where(client)

    assert (status, "can't migrate running container without --online or --restart" in message) == (500, True)
    assert end == "OK", log
    lines = [line[20:] for line in log[:-1]]
    assert lines[0] == "shutdown CT 100"
    assert lines[1] == "starting migration of CT 100 to node 'pve2' (127.0.0.2)"
    assert "start container on target node" in lines
    assert [(each["id"], each["user"]) for each in starts] == [("100", "root@pam")]
    assert here == [("pve2", "running")]


async def test_disk_on_a_shared_storage_stays_where_it_is(tmp_path: Path) -> None:
    """Nothing is copied; both nodes see the one disk."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        await new_container(client, lab, storage="shared")
        end, log = await moved(client, target="pve2")
        disks = [await asked(client, f"/nodes/{n}/storage/shared/content") for n in ("pve1", "pve2")]

    assert end == "OK", log
    assert not any("found local volume" in line for line in log)
    assert [[each["vmid"] for each in rows] for rows in disks] == [[100], [100]]


async def test_storage_that_the_target_lacks(tmp_path: Path) -> None:
    """The task says which; onto another one it goes."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        await new_container(client, lab, storage="fast")
        failed, log = await moved(client, target="pve2")
        end, _ = await moved(client, target="pve2", **{"target-storage": "local-lvm"})
        config = await asked(client, f"{CONTAINER.format('pve2')}/config")

    assert failed == "migration aborted"
    assert any("storage 'fast' is not available on node 'pve2'" in line for line in log), log
    assert end == "OK"
    assert config["rootfs"].startswith("local-lvm:vm-100-disk-0,")


async def test_what_is_no_target(tmp_path: Path) -> None:
    """Itself and an unknown node are refused at once, one that is away by the task; nothing moves."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        await new_container(client, lab)
        itself = await refused(client, target="pve1")
        unknown = await refused(client, target="pve9")
        lab.faults.order(NodeOffline(node="pve2"))
        end, log = await moved(client, target="pve2")
        asked_there = await client.get("/nodes/pve2/lxc")
        nodes = await asked(client, "/nodes")
        with pytest.raises((OSError, asyncssh.Error)):
            await shell_output(lab, 1, "hostname")
        lab.faults.clear()
        here = await where(client)

    assert (itself[0], "target is local node." in itself[1]) == (400, True)
    assert (unknown[0], "no such cluster node 'pve9'" in unknown[1]) == (500, True)
    assert end == "migration aborted"
    assert any("Can't connect to destination address using public key" in line for line in log), log
    assert (asked_there.status_code, asked_there.text) == (595, "")
    assert [each["status"] for each in nodes] == ["online", "offline"]
    assert here == [("pve1", "stopped")]


async def test_move_that_fails_in_the_middle(tmp_path: Path) -> None:
    """It runs again where it was, unlocked; the target has nothing of it."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        await started(client, lab, storage="local-lvm")
        lab.faults.order(TaskFails(task="vzmigrate", message="rsync error"))
        end, log = await moved(client, target="pve2", restart=1)
        here = await where(client)
        disks = await asked(client, "/nodes/pve2/storage/local-lvm/content")
        config = await asked(client, f"{CONTAINER.format('pve1')}/config")

    assert end == "migration aborted"
    assert any("rsync error" in line for line in log), log
    assert (here, disks) == ([("pve1", "running")], [])
    assert "lock" not in config


async def test_killed_move_leaves_a_lock(tmp_path: Path) -> None:
    """It stays at the source, locked: only `pct unlock` there helps."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        await new_container(client, lab)
        lab.faults.order(WorkerKilled(task="vzmigrate"))
        end, _ = await moved(client, target="pve2")
        again, log = await moved(client, target="pve2")
        async with ssh_client(lab) as shell:
            unlocked = await shell.run("pct unlock 100")
        at_last, _ = await moved(client, target="pve2")

    assert (end, again) == ("unexpected status", "migration aborted")
    assert any("CT is locked (migrate)" in line for line in log), log
    assert (unlocked.exit_status, at_last) == (0, "OK")


async def test_snapshots_of_a_local_disk_hold_it(tmp_path: Path) -> None:
    """As long as there is a snapshot the container can't be moved."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        await new_container(client, lab, storage="local-lvm")
        snapshot = await client.post(f"{CONTAINER.format('pve1')}/snapshot", data={"snapname": "before"})
        assert await ended(client, snapshot.json()["data"]) == "OK"
        end, log = await moved(client, target="pve2")

    assert end == "migration aborted"
    assert any("non-migratable snapshot exists" in line for line in log), log


async def test_manager_moves_its_guest(tmp_path: Path) -> None:
    """The task only asks; later the manager moves it, restarting what runs."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        await started(client, lab)
        lab.faults.order(HaManaged(vmid=100))
        answer = await client.post(
            f"{CONTAINER.format('pve1')}/migrate", data={"target": "pve2", "restart": 1}
        )
        upid = answer.json()["data"]
        end = await ended(client, upid)
        at_once = await where(client)

        async def is_there() -> bool:
            return await where(client) == [("pve2", "running")]

        await until(is_there)

    assert (upid.split(":")[5], end, at_once) == ("hamigrate", "OK", [("pve1", "running")])


async def test_goes_on_with_its_nodes(tmp_path: Path) -> None:
    """Started again, what was moved is where it was moved to; another number of nodes is refused."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        await new_container(client, lab)
        end, _ = await moved(client, target="pve2")
        keys = [door.host_key for door in lab.doors]
    async with running_lab(tmp_path, name=None) as lab, api_client(lab) as client:
        here = await where(client)
        again = [door.host_key for door in lab.doors]

    assert (end, here, again) == ("OK", [("pve2", "stopped")], keys)
    with pytest.raises(OtherNodes, match="has 2 nodes and not 3"):
        node_names(tmp_path, None, 3)


@pytest.mark.lxc
async def test_real_container_moves(tmp_path: Path) -> None:
    """With real LXC guests it is shut down, belongs to the other node and runs there."""
    try:
        choose("lxc")
    except GuestError as error:
        pytest.skip(str(error))

    async with running_lab(tmp_path, guests="lxc", name=None, nodes=2) as lab, api_client(lab) as client:
        await started(client, lab, hostname="real")
        async with ssh_client(lab) as root:

            async def is_ready() -> bool:
                asked = await root.run("pct exec 100 -- systemctl is-system-running")
                return str(asked.stdout).strip() in ("running", "degraded")

            await until(is_ready)
            await root.run("pct exec 100 -- touch /root/stored")
            end, log = await moved(client, target="pve2", restart=1)
            gone = await root.run("pct exec 100 -- true")
        stored = await shell_output(lab, 1, "pct exec 100 -- ls /root/stored")

    assert end == "OK", log
    assert "Configuration file 'nodes/pve1/lxc/100.conf' does not exist" in str(gone.stderr)
    assert stored == "/root/stored"
