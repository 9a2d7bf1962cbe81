"""The outages of real clusters: dead, frozen and gone nodes, clocks, certificates, tokens, odd rows."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest

from slipway.lab.faults import (
    ApiFrozen,
    CertificateRenewed,
    ChangedRows,
    ClockOff,
    ForeignRows,
    ForeignTask,
    Locked,
    LostAnswer,
    NodeDies,
    NodeGone,
    NodeOffline,
    NodeRenamed,
    RightsTaken,
    SlowAnswer,
    SshFrozen,
    TaskHangs,
    TokenExpired,
)
from slipway.lab.node import Lab
from support.clients import http_client
from support.lab import (
    api_client,
    ended,
    new_container,
    running_lab,
    ssh_client,
    started,
    template_of,
    trust,
    until,
)

LXC = "/nodes/lab/lxc"
SHORT = 0.4


async def data(client: httpx.AsyncClient, path: str) -> Any:
    """Ask for something that is there."""
    answer = await client.get(path)
    assert answer.status_code == 200, (answer.reason_phrase, answer.text)
    return answer.json()["data"]


@asynccontextmanager
async def node_client(lab: Lab, node: str) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of one node's own API, believing the cluster's CA only."""
    headers = {"Authorization": f"PVEAPIToken={lab.root_token_id}={lab.root_token_secret}"}
    verify = ssl.create_default_context(cadata=lab.certificate_authority)
    base = f"{lab.endpoints[node]}/api2/json"
    async with http_client(base_url=base, headers=headers, verify=verify, timeout=60) as client:
        yield client


async def test_rows_of_other_guests(tmp_path: Path) -> None:
    """A list shows what the lab has not, filtered by type; its VMIDs are taken, and rows can be odd."""
    paused = {"type": "qemu", "vmid": 100, "status": "paused", "id": "qemu/100", "node": "lab", "tags": None}
    unknown = {"type": "sdn", "id": "sdn/lab/z", "disk": 1.5}
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        lab.faults.order(ForeignRows(rows=(paused, unknown)))
        next_one = await data(client, "/cluster/nextid")
        taken = await client.post(LXC, data={"vmid": 100, "ostemplate": await template_of(client, lab)})
        await new_container(client, lab, 101)
        odd = ChangedRows(where={"id": "lxc/101"}, values={"disk": 0.5, "tags": None}, without=("name",))
        lab.faults.order(odd)
        await until(lambda: _is_seen(client))
        everything = await data(client, "/cluster/resources")
        guests = await data(client, "/cluster/resources?type=vm")

    assert next_one == "101"
    assert taken.reason_phrase == "VM 100 already exists on node 'lab'"
    assert paused in everything
    assert unknown in everything
    assert [row["id"] for row in guests] == ["lxc/101", "qemu/100"]
    assert (guests[0]["disk"], guests[0]["tags"], "name" in guests[0]) == (0.5, None, False)


async def _is_seen(client: httpx.AsyncClient) -> bool:
    rows = await data(client, "/cluster/resources?type=vm")
    return any(row["id"] == "lxc/101" and row["status"] == "stopped" for row in rows)


async def test_one_question_is_slow(tmp_path: Path) -> None:
    """The storages of one node take their time, all else and the other node don't."""
    async with running_lab(tmp_path, name=None, nodes=2) as lab, api_client(lab) as client:
        lab.faults.order(SlowAnswer(path="/nodes/pve2/storage", seconds=30.5, times=None))
        lab.faults.order(SlowAnswer(path="/nodes/pve1/storage/shared/content", seconds=None, times=None))
        for path in ("/nodes/pve2/storage", "/nodes/pve1/storage/shared/content"):
            with pytest.raises(httpx.ReadTimeout):
                await client.get(path, timeout=SHORT)
        await data(client, "/nodes/pve1/storage")
        await data(client, "/nodes/pve2/lxc")


async def test_frozen_api_takes_connections_and_says_nothing(tmp_path: Path) -> None:
    """New and open connections hang, what was sent is done at last; the control endpoint answers."""
    async with running_lab(tmp_path) as lab, api_client(lab, as_root=True) as client:
        await data(client, "/version")
        order = lab.faults.order(ApiFrozen())
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/version", timeout=SHORT)
        async with api_client(lab) as other:
            with pytest.raises((httpx.ConnectTimeout, httpx.ReadTimeout)):
                await other.get("/version", timeout=SHORT)
        _, writer = await asyncio.open_connection("127.0.0.1", lab.api_port)
        writer.close()
        standing = await client.get(f"{lab.control_endpoint}/lab/faults")
        late = asyncio.create_task(data(client, "/version"))
        await client.delete(f"{lab.control_endpoint}/lab/faults", params={"id": order})
        version = await late

    assert [row["kind"] for row in standing.json()["data"]] == ["api-frozen"]
    assert version["release"] == "9.2"


async def test_frozen_ssh(tmp_path: Path) -> None:
    """Open connections hang and go on later; new ones hear no version."""
    async with running_lab(tmp_path) as lab, ssh_client(lab) as shell:
        order = lab.faults.order(SshFrozen())
        running = asyncio.create_task(shell.run("hostname", check=True))
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.ssh_port)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), SHORT)
        is_silent = not running.done()
        lab.faults.clear(order)
        output = (await running).stdout
        greeting = await asyncio.wait_for(reader.read(4), 10)
        writer.close()

    assert (is_silent, output, greeting) == (True, "lab\n", b"SSH-")


async def test_node_dies(tmp_path: Path) -> None:
    """At first the others call it online, then offline; it says nothing, and nothing is heard of it."""
    dead = NodeDies(node="pve1", noticed_after=1.5, answered_after=0.2)
    async with (
        running_lab(tmp_path, name=None, nodes=2) as lab,
        node_client(lab, "pve1") as first,
        node_client(lab, "pve2") as second,
    ):
        await started(first, lab)
        await until(lambda: _is(second, "running"))
        lab.faults.order(dead)
        before = await second.get("/nodes/pve1/lxc")
        online = [row["online"] for row in await data(second, "/cluster/status") if row["type"] == "node"]
        running = await _is(second, "running")
        with pytest.raises(httpx.TimeoutException):
            await first.get("/version", timeout=SHORT)
        await until(lambda: _is(second, "unknown"))
        after = await second.get("/nodes/pve1/lxc")
        offline = [row["online"] for row in await data(second, "/cluster/status") if row["type"] == "node"]

    assert (before.status_code, before.reason_phrase) == (595, "Connection timed out")
    assert (online, running, offline) == ([1, 1], True, [0, 1])
    assert (after.status_code, after.reason_phrase) == (595, "No route to host")


async def _is(client: httpx.AsyncClient, status: str) -> bool:
    rows = await data(client, "/cluster/resources?type=vm")
    return [row["status"] for row in rows] == [status]


async def test_first_node_is_away(tmp_path: Path) -> None:
    """Its own API is closed; the other's answers for the cluster, and says which one answers."""
    async with (
        running_lab(tmp_path, name=None, nodes=2) as lab,
        node_client(lab, "pve1") as first,
        node_client(lab, "pve2") as second,
    ):
        lab.faults.order(NodeOffline(node="pve1"))
        with pytest.raises(httpx.TransportError):
            await first.get("/version")
        rows = await data(second, "/cluster/status")
        version = await data(second, "/nodes/localhost/time")

    assert [(row["name"], row["online"], row["local"]) for row in rows[1:]] == [
        ("pve1", 0, 0),
        ("pve2", 1, 1),
    ]
    assert set(version) == {"time", "localtime", "timezone"}


async def test_node_is_gone_or_renamed(tmp_path: Path) -> None:
    """Nobody knows the old name; what a renamed one has is found under the new one."""
    async with running_lab(tmp_path, name=None, nodes=3) as lab, api_client(lab) as client:
        await new_container(client, lab)
        lab.faults.order(NodeRenamed(node="pve1", name="alpha"))
        lab.faults.order(NodeGone(node="pve3"))
        status = [row["name"] for row in await data(client, "/cluster/status")]
        nodes = [row["node"] for row in await data(client, "/nodes")]
        resources = {row["node"] for row in await data(client, "/cluster/resources")}
        config = await client.get("/nodes/alpha/lxc/100/config")
        gone = [await client.get(f"/nodes/{name}/lxc") for name in ("pve1", "pve3")]
        with pytest.raises((OSError, asyncssh.Error)):
            await asyncssh.connect("127.0.0.1", lab.doors[2].port, known_hosts=None, config=None)
        lab.faults.clear()
        back = [row["node"] for row in await data(client, "/nodes")]

    assert status == ["lab", "alpha", "pve2"]
    assert nodes == ["alpha", "pve2"]
    assert resources == {"alpha", "pve2"}
    assert config.status_code == 200
    assert [answer.status_code for answer in gone] == [500, 500]
    assert all("hostname lookup" in answer.reason_phrase for answer in gone)
    assert back == ["pve1", "pve2", "pve3"]


async def test_token_expires_and_loses_rights(tmp_path: Path) -> None:
    """An expired one is refused like an unknown one; taken rights make lists shorter."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await new_container(client, lab)
        order = lab.faults.order(TokenExpired())
        expired = await client.get("/version")
        async with api_client(lab, as_root=True) as strong:
            root = await strong.get("/version")
        lab.faults.clear(order)
        lab.faults.order(RightsTaken(path="/vms", rights=("VM.Audit",)))
        guests = await data(client, LXC)
        config = await client.get(f"{LXC}/100/config")

    assert (expired.status_code, expired.reason_phrase, expired.content) == (
        401,
        "Authentication failed!",
        b"",
    )
    assert root.status_code == 200
    assert guests == []
    assert config.reason_phrase == "Permission check failed (/vms/100, VM.Audit)"


@pytest.mark.parametrize("signed_by", ["cluster", "itself"])
async def test_certificate_is_renewed(tmp_path: Path, signed_by: str) -> None:
    """Another key is shown from now on and over a restart; the CA believes what it has signed."""
    async with running_lab(tmp_path) as lab:
        before = lab.fingerprint
        lab.faults.order(CertificateRenewed.model_validate({"node": "*", "signed_by": signed_by}))
        async with api_client(lab) as client:
            after = lab.fingerprint
            rows = await data(client, "/nodes/lab/certificates/info")
            nodes = await data(client, "/nodes")
        async with node_client(lab, "lab") as by_ca:
            believed = await _believes(by_ca)
    async with running_lab(tmp_path) as lab:
        later = lab.fingerprint

    assert before != after == later
    assert nodes[0]["ssl_fingerprint"] == after
    assert [row["filename"] for row in rows] == ["pve-root-ca.pem", "pve-ssl.pem"]
    assert rows[1]["fingerprint"] == after
    assert "127.0.0.1" in rows[1]["san"]
    assert believed is (signed_by == "cluster")


async def _believes(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/version")).is_success
    except httpx.ConnectError:
        return False


async def test_certificate_of_an_administrator(tmp_path: Path) -> None:
    """`pveproxy-ssl.pem` is shown in place of the cluster's own."""
    async with running_lab(tmp_path) as lab:
        lab.faults.order(CertificateRenewed(signed_by="itself", file="pveproxy-ssl.pem"))
        async with api_client(lab) as client:
            rows = await data(client, "/nodes/lab/certificates/info")

    names = [row["filename"] for row in rows]
    assert names == ["pve-root-ca.pem", "pve-ssl.pem", "pveproxy-ssl.pem"]
    assert rows[2]["fingerprint"] == lab.fingerprint


async def test_answer_is_lost_of_a_slow_creation_on_a_late_clock(tmp_path: Path) -> None:
    """The task is there, begun two minutes ago by the node's own clock, which it reports."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        template = await template_of(client, lab)
        here = parsedate_to_datetime((await client.get("/version")).headers["Date"]).timestamp()
        lab.faults.order(ClockOff(seconds=-120))
        lab.faults.order(LostAnswer(method="POST", path=LXC))
        lab.faults.order(TaskHangs(task="vzcreate", seconds=0.5))
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(LXC, data={"vmid": 100, "ostemplate": template})
        answer = await client.get("/nodes/lab/time")
        active = await data(client, "/nodes/lab/tasks?source=active")
        end = await ended(client, active[0]["upid"])
        shown = await data(client, f"/nodes/lab/tasks/{active[0]['upid']}/status")

    moments = [
        active[0]["starttime"],
        answer.json()["data"]["time"],
        int(active[0]["upid"].split(":")[4], 16),
    ]
    moments.append(int(parsedate_to_datetime(answer.headers["Date"]).timestamp()))
    assert [abs(here - 120 - moment) < 60 for moment in moments] == [True] * 4
    assert end.startswith(("OK", "WARNINGS"))
    assert shown["type"] == "vzcreate"


async def test_lock_is_left_or_held(tmp_path: Path) -> None:
    """A lock stays until it is taken away, or for its time; `pct unlock` cures the first."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client, ssh_client(lab) as shell:
        await new_container(client, lab)
        lab.faults.order(Locked(vmid=100, lock="snapshot-delete"))
        refused = await client.put(f"{LXC}/100/config", data={"cores": 1})
        await shell.run("pct unlock 100", check=True)
        lab.faults.order(Locked(vmid=100, seconds=0.3))
        locked = (await data(client, f"{LXC}/100/config")).get("lock")
        await until(lambda: _is_unlocked(client))

    assert refused.reason_phrase == "CT is locked (snapshot-delete)"
    assert locked == "backup"


async def _is_unlocked(client: httpx.AsyncClient) -> bool:
    return "lock" not in await data(client, f"{LXC}/100/config")


async def test_backup_of_someone_else(tmp_path: Path) -> None:
    """It is an active task of root's and holds the lock; ours waits until it is stopped."""
    async with running_lab(tmp_path) as lab, api_client(lab, as_root=True) as client:
        await new_container(client, lab)
        lab.faults.order(ForeignTask(vmid=100, is_of_many=True))
        await until(lambda: _is_locked(client))
        active = await data(client, "/nodes/lab/tasks?source=active")
        ours = await client.post("/nodes/lab/vzdump", data={"vmid": 100, "storage": "backup"})
        await until(lambda: _says(client, ours.json()["data"], "trying to get global lock"))
        await client.delete(f"/nodes/lab/tasks/{active[0]['upid']}")
        end = await ended(client, ours.json()["data"])

    assert end == "OK"
    assert [(row["type"], row["id"], row["user"]) for row in active] == [("vzdump", "", "root@pam")]


async def _says(client: httpx.AsyncClient, upid: str, text: str) -> bool:
    return any(text in line["t"] for line in await data(client, f"/nodes/lab/tasks/{upid}/log"))


async def _is_locked(client: httpx.AsyncClient) -> bool:
    return bool((await data(client, f"{LXC}/100/config")).get("lock") == "backup")


async def test_pinning_goes_on_with_an_older_folder(tmp_path: Path) -> None:
    """A folder with a self-signed certificate keeps it; a client that trusts the file still can."""
    async with running_lab(tmp_path) as lab:
        lab.faults.order(CertificateRenewed(signed_by="itself"))
        before = lab.fingerprint
    secrets = tmp_path / "secrets"
    (secrets / "api.pem").write_text((secrets / "pve-ssl.pem").read_text())
    (secrets / "pve-ssl.key").rename(secrets / "api.key")
    for name in ("pve-ssl.pem", "pve-root-ca.pem", "pve-root-ca.key"):
        (secrets / name).unlink()
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await data(client, "/version")
        rows = await data(client, "/nodes/lab/certificates/info")

    assert rows[1]["fingerprint"] == before == lab.fingerprint
    assert rows[1]["issuer"] == rows[1]["subject"]
    assert trust(lab).cert_store_stats()["x509"] == 2
