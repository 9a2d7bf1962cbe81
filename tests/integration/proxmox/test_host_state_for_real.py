"""Snapshots, copies and backups of real LXC containers, through our client and the lab."""

import pytest

from slipway.proxmox.answers import Power
from slipway.proxmox.hosts import Cluster
from support.lab_client import LIMIT, NODE, create, done, start
from support.waiting import until

pytestmark = [
    pytest.mark.lxc,
    pytest.mark.slow,
    pytest.mark.parametrize("lab", ["lxc"], indirect=True),
]
THIN = "local-lvm:4"


async def shell_output(cluster: Cluster, vmid: int, script: str) -> str:
    """What a shell in the container prints."""
    return (await cluster.pct(NODE).execute(vmid, ["sh", "-c", script], timeout=LIMIT)).stdout


async def address_of(cluster: Cluster, vmid: int) -> str:
    """The container's address, once it has one."""

    async def address() -> str:
        shown = {one.name: one.inet for one in await cluster.api.interfaces(NODE, vmid)}
        return shown.get("eth0") or ""

    return await until(address, within_seconds=LIMIT.total_seconds())


async def test_a_removed_file_is_back_after_a_rollback(cluster: Cluster) -> None:
    """Also one of the template's; the container ran on while the snapshot was made."""
    api = cluster.api
    await create(cluster, rootfs=THIN)
    await start(cluster)
    beating = "while sleep 0.1; do date +%s%N > /tmp/beat; done"
    await shell_output(
        cluster, 100, f"echo one > /root/stored; setsid sh -c '{beating}' < /dev/null > /dev/null 2>&1 &"
    )
    await done(api, await api.snapshot(NODE, 100, "s1", "before"))
    beats = [await shell_output(cluster, 100, "cat /tmp/beat; sleep 0.3") for _ in range(2)]
    await shell_output(
        cluster, 100, "rm -rf /root/stored /etc/adduser.conf /usr/share/zoneinfo; echo new > /root/new"
    )

    await done(api, await api.rollback(NODE, 100, "s1"))
    assert (await api.status(NODE, 100)).status is Power.STOPPED
    await start(cluster)

    assert beats[0] != beats[1]
    assert await shell_output(
        cluster, 100, "cat /root/stored; ls /root /etc/adduser.conf; ls -d /usr/share/zoneinfo"
    ) == ("one\n/etc/adduser.conf\n\n/root:\nstored\n/usr/share/zoneinfo\n")
    assert (
        await shell_output(cluster, 100, "stat -c %U:%a /root/stored /etc/shadow") == "root:644\nroot:640\n"
    )


async def test_a_copy_has_its_own_address_and_name(cluster: Cluster) -> None:
    """Both run side by side and reach each other."""
    api = cluster.api
    await create(cluster)
    await start(cluster)
    await shell_output(cluster, 100, "echo one > /root/stored")
    await done(api, await api.stop(NODE, 100))

    await done(api, await api.clone(NODE, 100, 200, hostname="copy"))
    for vmid in (100, 200):
        await start(cluster, vmid)
    addresses = [await address_of(cluster, vmid) for vmid in (100, 200)]

    assert addresses[0] != addresses[1]
    assert await shell_output(cluster, 200, "hostname; cat /root/stored") == "copy\none\n"
    macs = [await shell_output(cluster, vmid, "cat /sys/class/net/eth0/address") for vmid in (100, 200)]
    assert macs[0] != macs[1]


async def test_a_deleted_container_runs_again_from_its_backup(cluster: Cluster) -> None:
    """Backed up while it ran, deleted, restored, started."""
    api = cluster.api
    await create(cluster, description="marker")
    await start(cluster)
    await shell_output(cluster, 100, "echo one > /root/stored; rm /etc/adduser.conf")
    await done(api, await api.backup(NODE, 100, storage="backup", mode="snapshot", notes="{{guestname}}"))
    running = (await api.status(NODE, 100)).status
    await done(api, await api.stop(NODE, 100))
    await done(api, await api.delete(NODE, 100))
    backup = (await api.content(NODE, "backup", kind="backup"))[0]

    params: dict[str, str | int] = {"vmid": 100, "ostemplate": backup.volid, "unprivileged": 1}
    await done(api, await api.restore(NODE, {**params, "storage": "local"}))
    await start(cluster)

    assert (running, backup.notes) == (Power.RUNNING, "web")
    assert (
        await shell_output(cluster, 100, "cat /root/stored; test -e /etc/adduser.conf || echo gone")
        == "one\ngone\n"
    )
    assert (await api.config(NODE, 100)).description == "marker\n"
