"""A container's whole life through our client, against the lab."""

import contextlib
from contextlib import aclosing
from datetime import timedelta

import pytest
from pydantic import SecretStr

from slipway.lab import faults
from slipway.lab.node import Lab
from slipway.proxmox import tasks
from slipway.proxmox.access import ApiAccess, ClusterAccess
from slipway.proxmox.answers import Power
from slipway.proxmox.detached import Detached, Exited, Started
from slipway.proxmox.errors import (
    AccessRefused,
    AlreadyRunning,
    AnswerLost,
    CommandLost,
    CommandTimedOut,
    ContainerLocked,
    ContainerMissing,
    NotRunning,
    PermissionMissing,
    TaskFailed,
    TaskLost,
    VmidTaken,
)
from slipway.proxmox.files import GuestFile, Outcome, deploy
from slipway.proxmox.hosts import Cluster
from slipway.proxmox.links import scan_host_key
from slipway.proxmox.output import Output
from support.lab_client import LIMIT, NODE, access_to, create, start

GUESTS = pytest.mark.parametrize(
    "lab", ["simulated", pytest.param("lxc", marks=pytest.mark.lxc)], indirect=True
)


async def test_the_node_can_be_looked_at(cluster: Cluster, lab: Lab) -> None:
    """Everything that a creation has to know."""
    api = cluster.api

    assert (await api.version()).major >= 8
    assert [node.name for node in await api.nodes()] == [NODE]
    assert any(member.name == NODE for member in await api.cluster_status())
    assert "rootdir" in {kind for storage in await api.storages(NODE) for kind in storage.content}
    assert "vmbr0" in {bridge.name for bridge in await api.networks(NODE)}
    assert "VM.Allocate" in {name for names in (await api.permissions()).values() for name in names}
    assert await api.is_free(100)
    assert [node.name for node in (await api.resources()).nodes] == [NODE]
    assert await scan_host_key("127.0.0.1", port=lab.ssh_port) == lab.ssh_host_key


async def test_a_container_lives_its_life(cluster: Cluster) -> None:
    """Created, started, looked at, shut down, deleted."""
    api = cluster.api
    log = await create(cluster)
    config = await api.config(NODE, 100)
    await start(cluster)
    status = await api.status(NODE, 100)
    interfaces = await api.interfaces(NODE, 100)
    await tasks.wait(api, await api.shutdown(NODE, 100, grace=timedelta(seconds=30)), deadline=LIMIT)
    stopped = await api.status(NODE, 100)
    await tasks.wait(api, await api.delete(NODE, 100), deadline=LIMIT)

    assert log[-1].startswith("TASK ")
    assert (config.hostname, config.unprivileged, config.networks["net0"]["bridge"]) == ("web", True, "vmbr0")
    assert (status.status, stopped.status) == (Power.RUNNING, Power.STOPPED)
    assert "eth0" in {interface.name for interface in interfaces}
    assert {task.type for task in await api.tasks(NODE, vmid=100)} >= {"vzcreate", "vzstart", "vzdestroy"}
    with pytest.raises(ContainerMissing):
        await api.config(NODE, 100)


async def test_refusals_are_typed(cluster: Cluster) -> None:
    """As on a real node."""
    await create(cluster)
    with pytest.raises(VmidTaken):
        await create(cluster)
    with pytest.raises(NotRunning):
        await cluster.api.stop(NODE, 100)
    with pytest.raises(NotRunning):
        await cluster.pct(NODE).execute(100, ["true"], timeout=LIMIT)
    with pytest.raises(ContainerMissing):
        await cluster.pct(NODE).execute(999, ["true"], timeout=LIMIT)
    with pytest.raises(PermissionMissing):
        await create(cluster, 101, features="nesting=1,keyctl=1")
    with pytest.raises(TaskFailed):
        await create(cluster, 102, ostemplate="local:vztmpl/none.tar.zst")
    await start(cluster)
    with pytest.raises(AlreadyRunning):
        await cluster.api.start(NODE, 100)


async def test_a_token_that_the_node_does_not_know_is_refused(lab: Lab) -> None:
    """Whatever is asked."""
    good = access_to(lab).api
    access = ApiAccess(
        endpoint=good.endpoint,
        token_id=good.token_id,
        token_secret=SecretStr("wrong"),
        tls_fingerprint=good.tls_fingerprint,
    )
    cluster = Cluster(ClusterAccess(api=access))

    with pytest.raises(AccessRefused):
        await cluster.api.version()

    await cluster.aclose()


async def test_a_password_does_what_a_token_may_not(lab: Lab) -> None:
    """Root's ticket sets features."""
    good = access_to(lab).api
    access = ApiAccess(
        endpoint=good.endpoint,
        username="root@pam",
        password=SecretStr(lab.root_password),
        tls_fingerprint=good.tls_fingerprint,
    )
    cluster = Cluster(ClusterAccess(api=access))

    await create(cluster, features="nesting=1,keyctl=1")
    config = await cluster.api.config(NODE, 100)
    await cluster.aclose()

    assert "keyctl=1" in (config.features or "")


async def test_features_are_set_over_ssh(cluster: Cluster) -> None:
    """Those that a token may not."""
    await create(cluster)

    await cluster.pct(NODE).set_options(100, {"features": "nesting=1,keyctl=1"})

    assert "keyctl=1" in ((await cluster.api.config(NODE, 100)).features or "")


async def test_a_config_changes_only_as_it_was_read(cluster: Cluster) -> None:
    """The digest decides."""
    await create(cluster)
    before = await cluster.api.config(NODE, 100)

    await cluster.api.set_config(NODE, 100, {"description": "ours", "onboot": True}, digest=before.digest)

    after = await cluster.api.config(NODE, 100)
    assert (after.description.strip(), after.onboot) == ("ours", True)


@GUESTS
async def test_files_and_work_reach_a_guest(cluster: Cluster, lab: Lab) -> None:
    """Through SSH, pct and the guest's own shell; what the login shell prints before changes nothing."""
    lab.faults.order(faults.LoginPrints(text="Welcome to the node: ", errors="1 update\n"))
    await create(cluster)
    await start(cluster)
    pct = cluster.pct(NODE)
    detached = Detached(pct, 100)

    done = await pct.script(100, "id -u; cat", stdin=b"hello", timeout=LIMIT)
    files = await deploy(pct, 100, [GuestFile(path="/etc/app/it's.conf", content=b"x" * 100_000)])
    began = await detached.begin(
        "job.sync.0", script='seq 1 2000; wc -c <"/etc/app/it\'s.conf"; exit 7', timeout=LIMIT
    )
    lines: list[Output | Exited] = []
    async with aclosing(detached.follow("job.sync.0", deadline=LIMIT)) as items:
        lines.extend([item async for item in items])

    assert (done.exit_code, done.stdout) == (0, "0\nhello")
    assert ([file.outcome for file in files], began) == ([Outcome.CREATED], Started())
    texts = [item.text.strip() for item in lines if isinstance(item, Output) and not item.is_unfinished]
    assert (texts, lines[-1]) == ([*map(str, range(1, 2001)), "100000"], Exited(7))


async def test_a_container_is_removed_over_ssh(cluster: Cluster) -> None:
    """What a killed creation leaves can't be removed otherwise; a second time there is nothing to do."""
    await create(cluster)

    await cluster.pct(NODE).destroy(100)
    await cluster.pct(NODE).destroy(100)

    assert (await cluster.api.resources()).guests == () or await cluster.api.is_free(100)


@GUESTS
async def test_work_in_a_guest_survives_ssh(cluster: Cluster, lab: Lab) -> None:
    """Each number once, though every connection is cut in the middle."""
    await create(cluster)
    await start(cluster)
    detached = Detached(cluster.pct(NODE), 100)
    script = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo $i; [ $((i % 500)) -ne 0 ] || sleep 0.3; done"
    await detached.begin("a", script=script, timeout=LIMIT)
    outputs: list[Output] = []

    with contextlib.suppress(CommandLost):
        async with aclosing(detached.follow("a", deadline=LIMIT)) as items:
            async for item in items:
                assert isinstance(item, Output)
                if item.is_unfinished:
                    continue
                outputs.append(item)
                if len(outputs) == 600:
                    lab.faults.order(faults.SshDropped(now=True))
    async with aclosing(detached.follow("a", outputs[-1].end_offset, deadline=LIMIT)) as items:
        rest = [item async for item in items]

    outputs += [item for item in rest if isinstance(item, Output) and not item.is_unfinished]
    assert [item.text for item in outputs] == [str(number) for number in range(1, 2001)]
    assert rest[-1] == Exited(0)


@GUESTS
async def test_output_comes_in_the_order_of_writing(cluster: Cluster) -> None:
    """Of both outputs, however fast it is written; progress is one line, a prompt is seen before its end."""
    await create(cluster)
    await start(cluster)
    pct = cluster.pct(NODE)
    detached = Detached(pct, 100)
    script = """
        i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; echo -$i >&2; done
        printf '\\r1 %%\\r2 %%\\n' >&2; printf 'Continue? '
        until [ -e /root/answer ]; do sleep 0.1; done; echo yes"""
    await detached.begin("a", script=script, timeout=LIMIT)
    lines: list[Output] = []

    async with aclosing(detached.follow("a", deadline=LIMIT)) as items:
        async for item in items:
            if isinstance(item, Output) and item.is_unfinished and item.text == "Continue? ":
                await pct.script(100, "touch /root/answer", timeout=LIMIT)
            elif isinstance(item, Output) and not item.is_unfinished:
                lines.append(item)

    numbers = [f"{sign}{n}" for n in range(1, 301) for sign in ("", "-")]
    assert [line.text for line in lines] == [*numbers, "2 %", "Continue? yes"]


@GUESTS
async def test_a_command_in_a_guest_dies_with_its_caller(cluster: Cluster) -> None:
    """Killed inside, not only cut off."""
    await create(cluster)
    await start(cluster)
    pct = cluster.pct(NODE)

    with pytest.raises(CommandTimedOut):
        await pct.script(100, "echo $$ >/root/pid; exec sleep 60", timeout=timedelta(seconds=2))

    look = "n=0; while kill -0 $(cat /root/pid) && [ $n -lt 50 ]; do n=$((n+1)); sleep 0.1; done; exit $n"
    assert (await pct.script(100, look, timeout=LIMIT)).exit_code < 50


async def test_a_creation_whose_answer_was_lost_is_found(cluster: Cluster, lab: Lab) -> None:
    """By looking at the node's tasks; it is not posted again."""
    lab.faults.order(faults.LostAnswer(method="POST", path="/nodes/*/lxc"))

    with pytest.raises(AnswerLost):
        await create(cluster)

    (task,) = await cluster.api.tasks(NODE, vmid=100, typefilter="vzcreate")
    await tasks.wait(cluster.api, task.upid, deadline=LIMIT)
    assert (await cluster.api.config(NODE, 100)).hostname == "web"


async def test_what_a_killed_creation_leaves_is_cured_over_ssh(cluster: Cluster, lab: Lab) -> None:
    """Locked, and nothing but locked; the API can't remove it."""
    lab.faults.order(faults.WorkerKilled(task="vzcreate"))

    with pytest.raises(TaskLost):
        await create(cluster)
    zombie = await cluster.api.config(NODE, 100)
    with pytest.raises(ContainerLocked):
        await cluster.api.delete(NODE, 100)
    await cluster.pct(NODE).unlock(100)
    await cluster.pct(NODE).destroy(100)
    await create(cluster)

    assert (zombie.lock, zombie.is_bare) == ("create", True)
