"""What can be made to go wrong in the lab, and what it leaves behind."""

import asyncio
from pathlib import Path

import asyncssh
import httpx
import pytest

from slipway.lab.faults import (
    ApiError,
    CommandFails,
    LostAnswer,
    NeverReady,
    NeverStops,
    SlowAnswer,
    SshDropped,
    SshRefused,
    StorageFull,
    TaskFails,
    TaskHangs,
    VmidTaken,
    WorkerKilled,
)
from support.lab import (
    api_client,
    ended,
    new_container,
    running_lab,
    ssh_client,
    started,
    template_of,
    trust,
)

LXC = "/nodes/lab/lxc"


async def create(client: httpx.AsyncClient, template: str, **options: object) -> httpx.Response:
    """Ask for container 100."""
    form = {"vmid": 100, "ostemplate": template, "features": "nesting=1", **options}
    return await client.post(LXC, data=form)


async def test_api_error_counts_and_matches(tmp_path: Path) -> None:
    """The n next requests that match fail, others don't."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        order = lab.faults.order(
            ApiError(method="GET", path="/nodes/*", status=596, message="Connection reset by peer", times=2)
        )
        other = await client.get("/version")
        failed = [await client.get("/nodes/lab/lxc") for _ in range(3)]

    assert other.status_code == 200
    assert [answer.status_code for answer in failed] == [596, 596, 200]
    assert (failed[0].reason_phrase, failed[0].content) == ("Connection reset by peer", b"")
    assert lab.faults.met(order) == 2


async def test_lost_answer_has_its_effect(tmp_path: Path) -> None:
    """The container is made, but the caller hears nothing."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        template = await template_of(client, lab)
        lab.faults.order(LostAnswer(method="POST", path=LXC))
        with pytest.raises(httpx.RemoteProtocolError):
            await create(client, template)
        config = await client.get(f"{LXC}/100/config")

    assert config.status_code == 200


async def test_slow_answer_is_slow(tmp_path: Path) -> None:
    """A client with less timeout gives up."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        lab.faults.order(SlowAnswer(path="/version", seconds=5))
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/version", timeout=0.2)


async def test_vmid_is_taken_by_someone_else(tmp_path: Path) -> None:
    """A container of someone else's appears between the question for a VMID and the creation."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        template = await template_of(client, lab)
        lab.faults.order(VmidTaken())
        answer = await create(client, template, hostname="ours")
        config = (await client.get(f"{LXC}/100/config")).json()["data"]

    assert answer.reason_phrase == "CT 100 already exists on node 'lab'"
    assert config["hostname"] != "ours"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (TaskFails(task="vzcreate", message="no luck"), "unable to create CT 100 - no luck"),
        (StorageFull(), "No space left on device"),
    ],
)
async def test_failed_creation_leaves_nothing(
    tmp_path: Path, fault: TaskFails | StorageFull, status: str
) -> None:
    """Disk and config are gone again, and the VMID is free."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        template = await template_of(client, lab)
        lab.faults.order(fault)
        upid = (await create(client, template)).json()["data"]
        exit_status = await ended(client, upid)
        log = (await client.get(f"/nodes/lab/tasks/{upid}/log")).text
        config = await client.get(f"{LXC}/100/config")

    assert status in exit_status + log
    assert "TASK ERROR: unable to create CT 100 - " in log
    assert config.reason_phrase == "Configuration file 'nodes/lab/lxc/100.conf' does not exist"


async def test_killed_worker_leaves_a_zombie_that_only_pct_cures(tmp_path: Path) -> None:
    """The config has nothing but a lock; the API neither deletes nor creates it; unlock and destroy do."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        template = await template_of(client, lab)
        lab.faults.order(WorkerKilled(task="vzcreate"))
        exit_status = await ended(client, (await create(client, template)).json()["data"])
        config = (await client.get(f"{LXC}/100/config")).json()["data"]
        deleted = await client.delete(f"{LXC}/100")
        again = await create(client, template)
        async with ssh_client(lab) as root:
            cure = await root.run("pct unlock 100; pct destroy 100 --purge 1")
        upid = (await create(client, template)).json()["data"]

        assert exit_status == "unexpected status"
        assert set(config) == {"lock", "digest"}
        assert deleted.reason_phrase == "CT is locked (create)"
        assert again.reason_phrase == "CT 100 already exists on node 'lab'"
        assert cure.exit_status == 0
        assert await ended(client, upid) == "OK"


async def test_hung_task_ends_when_it_is_stopped(tmp_path: Path) -> None:
    """A creation that hangs is running until it is stopped, and cleans up then."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        template = await template_of(client, lab)
        lab.faults.order(TaskHangs(task="vzcreate"))
        upid = (await create(client, template)).json()["data"]
        running = (await client.get("/nodes/lab/tasks?source=active")).json()["data"]
        stopped = await client.delete(f"/nodes/lab/tasks/{upid}")
        exit_status = await ended(client, upid)
        config = await client.get(f"{LXC}/100/config")

    assert [row["status"] for row in running] == ["RUNNING"]
    assert stopped.json() == {"data": None}
    assert exit_status.endswith("failed: received interrupt")
    assert config.status_code == 500


async def test_shutdown_that_is_ignored(tmp_path: Path) -> None:
    """A deaf guest outlives a shutdown, unless it is forced."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await started(client, lab)
        lab.faults.order(NeverStops(vmid=100))
        path = f"{LXC}/100/status/shutdown"
        polite = await ended(client, (await client.post(path, data={"timeout": 0})).json()["data"])
        forced = await client.post(path, data={"timeout": 0, "forceStop": 1})
        forced_status = await ended(client, forced.json()["data"])

    assert (polite, forced_status) == ("container did not stop", "OK")


async def test_ssh_is_dropped_after_some_output(tmp_path: Path) -> None:
    """The connection goes in the middle of the output; the next one works."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await started(client, lab)
        lab.faults.order(SshDropped(match="seq", after_bytes=100))
        async with ssh_client(lab) as root, root.create_process("pct exec 100 -- seq 1000") as process:
            got = await process.stdout.read()
            await process.wait_closed()
        async with ssh_client(lab) as root:
            whole = await root.run("pct exec 100 -- seq 1000")

    assert len(got) <= 100
    assert process.exit_status is None
    assert str(whole.stdout).endswith("1000\n")


async def test_every_ssh_connection_is_cut_at_once(tmp_path: Path) -> None:
    """An order that acts now cuts connections that are open, and no later one."""
    async with running_lab(tmp_path) as lab:
        async with ssh_client(lab) as root:
            lab.faults.order(SshDropped(now=True))
            await asyncio.wait_for(root.wait_closed(), 10)
        async with ssh_client(lab) as root:
            done = await root.run("true")

    assert done.exit_status == 0


async def test_ssh_is_refused(tmp_path: Path) -> None:
    """A connection is closed before its login, as often as ordered."""
    async with running_lab(tmp_path) as lab:
        lab.faults.order(SshRefused())
        with pytest.raises((asyncssh.Error, OSError)):
            async with ssh_client(lab):
                pass
        async with ssh_client(lab) as root:
            done = await root.run("true")

    assert done.exit_status == 0


async def test_command_dies_after_some_lines(tmp_path: Path) -> None:
    """A script fails at a line, with what it had written before."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await started(client, lab)
        lab.faults.order(CommandFails(match="seq", after_lines=3, exit_code=7))
        async with ssh_client(lab) as root:
            done = await root.run("pct exec 100 -- seq 1000")

    assert (done.exit_status, done.stdout) == (7, "1\n2\n3\n")


@pytest.mark.parametrize(
    "question",
    [
        "systemctl is-system-running",
        "sh -c 'state=$(systemctl is-system-running --wait); echo $state; exit 1'",
    ],
)
async def test_guest_is_never_ready(tmp_path: Path, question: str) -> None:
    """Whoever asks systemd for readiness hears that it is starting, also within a script."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await started(client, lab)
        lab.faults.order(NeverReady(vmid=100))
        async with ssh_client(lab) as root:
            done = await root.run(f"pct exec 100 -- {question}")

    assert (done.exit_status, done.stdout) == (1, "starting\n")


async def test_faults_are_ordered_over_http(tmp_path: Path) -> None:
    """Another process orders, lists and clears faults with root's token; the service account may not."""
    async with running_lab(tmp_path) as lab:
        url = f"{lab.endpoint}/lab/faults"
        async with httpx.AsyncClient(verify=trust(lab)) as client:
            root = {"Authorization": f"PVEAPIToken={lab.root_token_id}={lab.root_token_secret}"}
            service = {"Authorization": f"PVEAPIToken={lab.token_id}={lab.token_secret}"}
            refused = await client.post(url, json={"kind": "vmid-taken"}, headers=service)
            wrong = await client.post(url, json={"kind": "nonsense"}, headers=root)
            order = (await client.post(url, json={"kind": "vmid-taken"}, headers=root)).json()["data"]["id"]
            standing = (await client.get(url, headers=root)).json()["data"]
            await client.delete(url, headers=root)

    assert (refused.status_code, wrong.status_code) == (403, 400)
    assert standing == [{"id": order, "times": 1, "kind": "vmid-taken", "vmid": None}]
    assert lab.faults.standing() == {}


async def test_remote_processes_are_counted(tmp_path: Path) -> None:
    """Root is told how many programs the lines over SSH have begun."""
    async with running_lab(tmp_path) as lab, httpx.AsyncClient(verify=trust(lab)) as client:
        url = f"{lab.control_endpoint}/lab/remote-processes"
        client.headers["Authorization"] = f"PVEAPIToken={lab.root_token_id}={lab.root_token_secret}"
        before = (await client.get(url)).json()["data"]
        async with ssh_client(lab) as root:
            await root.run("true && hostname")
        after = (await client.get(url)).json()["data"]

    assert (before, after) == (0, 2)


async def test_task_can_be_killed_after_its_effect(tmp_path: Path) -> None:
    """A worker that dies at its end leaves its effect and no good word."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await new_container(client, lab)
        lab.faults.order(WorkerKilled(task="vzstart", at="end"))
        upid = (await client.post(f"{LXC}/100/status/start")).json()["data"]
        exit_status = await ended(client, upid)
        status = (await client.get(f"{LXC}/100/status/current")).json()["data"]["status"]

    assert (exit_status, status) == ("unexpected status", "running")
