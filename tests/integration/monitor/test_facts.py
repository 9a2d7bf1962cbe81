"""What a form chooses from is read of a node: networks, pools, OS templates, devices, with their age."""

import pytest
from pydantic import SecretStr

from slipway.contracts.cluster_facts import NodeFacts
from slipway.lab.faults import SdnVnet, SshRefused
from slipway.lab.node import Lab
from slipway.monitor.facts import devices, reader
from slipway.monitor.facts.diff import FIELDS_OF_PART
from slipway.monitor.facts.lasting import Answered
from slipway.proxmox.access import NodeAccess
from slipway.proxmox.errors import CommandForbidden
from slipway.proxmox.hosts import Cluster
from slipway.proxmox.ssh import NodeShell
from support.bound_key import PretendNode, bind_key
from support.inventory_side import CLUSTER, Monitor
from support.lab import root_client


async def facts_of(monitor: Monitor, lasting: Answered | None = None) -> NodeFacts:
    """Read the only node of the lab."""

    async def read(cluster: Cluster) -> NodeFacts:
        shells = {name: cluster.shell(name) for name in cluster.access.nodes}
        known = {"lab": lasting} if lasting else {}
        (reading,) = await reader.read(cluster.api, shells, without_shell="No login.", lasting=known)
        return reading.facts

    return await monitor.clusters.run(CLUSTER, read)


@pytest.mark.usefixtures("inventory")
async def test_networks_pools_and_devices_are_read(lab: Lab, monitor: Monitor) -> None:
    """A vnet is a bridge of the node as well; pools come with their parents; files have a size."""
    (lab.data / "host" / "dev").mkdir(parents=True)
    (lab.data / "host" / "dev" / "nvidia0").touch()
    lab.faults.order(SdnVnet(vnet="dmz", zone="lan", tag=30, is_vlan_aware=True))
    async with root_client(lab) as root:
        for pool in ("team", "team/web"):
            (await root.post("/pools", data={"poolid": pool})).raise_for_status()

    facts = await facts_of(monitor)

    assert [(each.name, each.type, each.is_vlan_aware) for each in facts.bridges] == [
        ("dmz", "vnet", True),
        ("vmbr0", "bridge", False),
    ]
    assert [(each.name, each.zone, each.tag) for each in facts.vnets] == [("dmz", "lan", 30)]
    assert facts.pools == ("team", "team/web")
    assert set(facts.os_template_sizes) == set(facts.os_templates)
    assert {("/dev/nvidia0", "nvidia"), ("/dev/net/tun", "tun")} <= {(e.path, e.kind) for e in facts.devices}
    assert [each.path for each in facts.folders] == ["/", "/mnt/backup"]
    assert [each.id for each in facts.gpus] == ["0000:00:02.0"]
    assert set(facts.parts_at) == set(FIELDS_OF_PART)


@pytest.mark.usefixtures("inventory")
async def test_devices_without_ssh_are_unknown_with_the_reason(lab: Lab, monitor: Monitor) -> None:
    """All that the API tells is there nevertheless."""
    lab.faults.order(SshRefused())

    facts = await facts_of(monitor)

    assert "devices" not in facts.parts_at
    assert facts.devices_problem == facts.ssh_problem
    assert facts.devices_problem
    assert facts.gpus


@pytest.mark.usefixtures("inventory")
async def test_what_is_fresh_is_not_asked_for(monitor: Monitor) -> None:
    """Neither the list of downloads nor the devices, which are as they were answered, and as old."""
    first = await facts_of(monitor)
    times = {part: first.parts_at[part] for part in ("appliances", "devices")}

    facts = await facts_of(monitor, {"appliances": (), "devices": (), "folders": (), "parts_at": times})

    assert first.appliances
    assert (facts.appliances, facts.devices) == ((), ())
    assert {part: facts.parts_at[part] for part in times} == times
    assert facts.parts_at["storages"] > first.parts_at["storages"]


async def test_a_bound_key_may_list_devices(lab: Lab) -> None:
    """The forced command knows the one command for it, and nothing like it."""
    key = await bind_key(PretendNode.of(lab), VMIDS="100-199")
    access = NodeAccess(
        name="lab",
        address="127.0.0.1",
        port=lab.ssh_port,
        private_key=SecretStr(key.private_key),
        host_key=lab.ssh_host_key,
    )
    shell = NodeShell(access)
    try:
        await devices.read(shell)
        with pytest.raises(CommandForbidden):
            await shell.run((*devices.COMMAND[:2], f"{devices.COMMAND[2]}; id"), timeout=devices.TIMEOUT)
    finally:
        await shell.aclose()
