"""What a job has changed is read back from its host: asking for something is not having it."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from slipway.contracts.configs import HostConfig
from slipway.contracts.container_specs import MountSpec, NetworkSpec
from slipway.contracts.job_kinds import (
    ConfigureArgs,
    JobKind,
    ResizeArgs,
    RevertArgs,
    ShutdownArgs,
    SnapshotArgs,
    SnapshotNameArgs,
)
from slipway.contracts.jobs import RunRecord
from slipway.contracts.plans import Explained
from slipway.contracts.values import JobState, PendingChange, Power
from slipway.lab import faults
from slipway.proxmox.hosts import Cluster
from support import lab_client
from support.provisioner_side import VMID, Ground, status_of

LATER: dict[str, Any] = {
    "nameserver": "10.9.9.9",
    "searchdomain": "example.org",
    "timezone": "Europe/Berlin",
    "tty": 1,
    "console": False,
    "cmode": "shell",
}


async def test_a_running_container_has_some_settings_after_its_next_start(ground: Ground) -> None:
    """The step, the warnings and the record say which; a restart makes them hold."""
    await ground.make(runs=True)

    record = await change(ground, "j1", hostname="web-2", features={"fuse": True}, **LATER)
    held = config_of(record)
    after = await ground.run(await ground.command(JobKind.RESTART, "j2", args=ShutdownArgs(grace_seconds=2)))

    waiting = sorted([*LATER, "features"])
    assert sorted(held.pending) == waiting
    assert held.pending["nameserver"] == PendingChange(now=None, after_restart="10.9.9.9")
    assert (held.hostname, held.nameserver, held.console) == ("web-2", None, None)
    assert held.features == {"nesting": True}
    assert record.warnings == (f"after-restart: {', '.join(waiting)}",)
    assert f"after the next restart: {', '.join(waiting)}" in message_of(record, "configure.features")
    restarted = config_of(after)
    assert (restarted.pending, restarted.power, after.warnings) == ({}, Power.RUNNING, ())
    assert {name: getattr(restarted, name) for name in LATER} == LATER


async def test_a_creation_has_what_only_proxmox_own_rules_bound(ground: Ground) -> None:
    """Dots in the name, a gateway outside, lists with commas, another order: all of it is stored."""
    command = await ground.command(JobKind.CREATE)
    settings: dict[str, Any] = {
        "hostname": "mail.example.com",
        "nameserver": "10.9.9.9,fe80::1%eth0",
        "searchdomain": "a.example; b.example",
        "startup": "down=60,,order=1",
        "disk": 0.3,
        "tags": ("a+b.c", "x" * 200),
        "description": "a\r\n\u00a0b",
        "networks": (NetworkSpec(name="eth0", bridge="vmbr0", ip="203.0.113.9/32", gw="203.0.113.1"),),
        "mounts": (MountSpec(storage="local", size=0.05, path="/a b/..c"),),
    }
    spec = command.spec.model_copy(update=settings)
    target = command.target.model_copy(update={"hostname": spec.hostname})

    record = await ground.run(command.model_copy(update={"spec": spec, "target": target}))

    assert record.state is JobState.SUCCEEDED, record.error
    held = config_of(record)
    assert (held.hostname, held.nameserver) == ("mail.example.com", "10.9.9.9 fe80::1%eth0")
    assert (held.searchdomain, held.description) == ("a.example b.example", "a\n\u00a0b")
    assert (held.networks[0].gw, held.mounts[0].path) == ("203.0.113.1", "/a b/..c")
    assert set(held.tags) == set(spec.tags)
    assert [each for each in record.warnings if "differ" in each] == []


async def test_a_stopped_container_has_all_settings_at_once(ground: Ground) -> None:
    """Nothing waits, and nothing is reported."""
    await ground.make()

    record = await change(ground, "j1", **LATER)

    held = config_of(record)
    assert {name: getattr(held, name) for name in LATER} == LATER
    assert (held.pending, held.power, record.warnings) == ({}, Power.STOPPED, ())


@pytest.mark.parametrize("keys", [("nameserver", "features", "cores"), None], ids=["some", "all"])
async def test_waiting_changes_are_dropped(ground: Ground, keys: tuple[str, ...] | None) -> None:
    """Also those that no token may take back; what does not wait stays as it is."""
    await ground.make(runs=True)
    await change(ground, "j1", features={"keyctl": True}, **LATER)

    record = await ground.run(await ground.command(JobKind.REVERT, "j2", args=RevertArgs(keys=keys)))
    again = await ground.run(await ground.command(JobKind.REVERT, "j3", args=RevertArgs(keys=keys)))

    assert record.state is JobState.SUCCEEDED, record.error
    left = sorted(set(LATER) - {"nameserver"}) if keys else []
    assert sorted(config_of(record).pending) == left
    assert message_of(again, "revert.config").startswith("nothing to do")


async def test_a_value_that_holds_already_ends_a_waiting_change(ground: Ground) -> None:
    """Asked for what is, nothing waits any more."""
    await ground.make(runs=True)
    await change(ground, "j1", tty=1)

    record = await change(ground, "j2", tty=2)

    assert config_of(record).pending.get("tty") in {None, PendingChange(now=None, after_restart="2")}


async def test_going_back_brings_the_old_config(ground: Ground) -> None:
    """Sizes, name and tags are those of the snapshot, Proxmox keeps the notes; what waited is lost."""
    await ground.make(runs=True, rootfs="local-lvm:1")
    target = ground.lab.name, VMID
    await ground.run(await ground.command(JobKind.SNAPSHOT, "j1", args=SnapshotArgs(snapshot="before")))
    await ground.cluster.api.set_config(*target, {"cores": 1, "memory": 300, "tags": "new"})
    await change(ground, "j2", hostname="other", nameserver="10.9.9.9", description="words")

    record = await ground.run(
        await ground.command(JobKind.ROLLBACK, "j3", args=SnapshotNameArgs(snapshot="before"))
    )

    held = config_of(record)
    assert (held.hostname, held.tags, held.description, held.cores) == ("web-1", (), "words", None)
    assert (held.memory, held.power, held.pending, held.storage) == (512, Power.STOPPED, {}, "local-lvm")


@pytest.mark.parametrize(
    ("unprivileged", "before", "asked"),
    [
        (True, "keyctl=1,nesting=1", {"nesting": True}),
        (True, "keyctl=1", {"nesting": True}),
        (True, "nesting=1", {}),
        (True, "", {"nesting": True}),
        (True, "nesting=1", {"fuse": True}),
        (False, "nesting=1", {}),
        (False, "", {"nesting": True}),
    ],
)
@pytest.mark.parametrize("runs", [False, True], ids=["stopped", "running"])
async def test_features_are_set_in_whichever_way_they_may_be(
    ground: Ground, *, unprivileged: bool, before: str, asked: dict[str, bool | str], runs: bool
) -> None:
    """Proxmox compares with what was there before: a token may only add `nesting`, and only to that."""
    root = await root_of(ground)
    await ground.make(by=root, unprivileged=int(unprivileged), features=before or "nesting=0")
    if runs:
        await ground.run(await ground.command(JobKind.START, "j0"))

    record = await change(ground, "j1", features=asked)

    assert record.state is JobState.SUCCEEDED, record.error
    config = await ground.cluster.api.config(ground.lab.name, VMID)
    assert dict(config.flags) == dict.fromkeys(asked, "1")
    held = config_of(record)
    waits = runs and before.split(",") != [f"{name}=1" for name in asked]
    assert ("features" in held.pending) is waits


async def test_what_is_not_said_of_a_network_stays(ground: Ground) -> None:
    """Bridge, name, MAC, VLAN and firewall: on the host, and in what is read back."""
    await ground.make()
    api, target = ground.cluster.api, (ground.lab.name, VMID)
    device = "name=lan0,bridge=vmbr0,ip=10.9.9.5/24,gw=10.9.9.1,tag=7,firewall=1,mtu=1400,rate=5"
    await api.set_config(*target, {"net0": device})
    before = config_of(await ground.run(await ground.command(JobKind.STOP, "j0"))).networks[0]

    dynamic = config_of(await change(ground, "j1", networks=(NetworkSpec(ip="dhcp"),))).networks
    untagged = config_of(await change(ground, "j2", networks=(NetworkSpec(tag=0, mtu=0),))).networks

    assert before.hwaddr is not None
    assert dynamic == (before.model_copy(update={"ip": "dhcp", "gw": None}),)
    assert untagged == (dynamic[0].model_copy(update={"tag": None, "mtu": None}),)


async def test_dhcp_is_not_asked_by_a_running_guest(ground: Ground) -> None:
    """Plan and step say so: Proxmox starts no client in it."""
    await ground.make(runs=True, net0="name=eth0,bridge=vmbr0,ip=10.9.9.5/24")
    args = ConfigureArgs(networks=(NetworkSpec(ip="dhcp"),))
    command = await ground.command(JobKind.CONFIGURE, "j1", args=args)

    planned = await plan(ground, command)
    record = await ground.run(command)

    assert any("DHCP client" in each for each in planned.warnings), planned
    assert "net0: Proxmox starts no DHCP client" in message_of(record, "configure.config")


async def test_a_plan_says_what_goes_over_ssh_and_what_holds_later(ground: Ground) -> None:
    """`nesting` of an unprivileged container is not among it."""
    await ground.make(runs=True)
    both = ConfigureArgs(features={"nesting": True, "fuse": True}, tty=1)
    plain = ConfigureArgs(features={"nesting": True})

    both_plan, plain_plan = [
        await plan(ground, await ground.command(JobKind.CONFIGURE, args=args)) for args in (both, plain)
    ]

    assert "No API token may set fuse: `pct set` does it over SSH." in both_plan.warnings
    assert "It runs: it has tty, features after its next restart, not before." in both_plan.warnings
    assert not any("token" in each for each in plain_plan.warnings)


async def test_a_job_that_fails_late_says_what_it_has_changed(ground: Ground) -> None:
    """The memory was set before the disk could not grow."""
    await ground.make()
    ground.lab.faults.order(faults.ApiError(method="PUT", path="/nodes/*/lxc/*/resize", message="no"))

    record = await ground.run(await ground.command(JobKind.RESIZE, args=ResizeArgs(memory=300, disk=2)))

    assert record.state is JobState.FAILED
    assert (config_of(record).memory, config_of(record).disk) == (300, 1)


async def test_a_config_that_can_not_be_read_back_fails_nothing(ground: Ground) -> None:
    """The job has done what it was for; inventory has the config read later."""
    await ground.make()
    ground.lab.faults.order(faults.ApiError(method="GET", path="/nodes/*/lxc/*/pending", times=None))

    record = await ground.run(await ground.command(JobKind.START, "j1"))

    assert (record.state, record.config) == (JobState.SUCCEEDED, None)
    assert status_of(record, "start.discover") == "finished"


@pytest.mark.parametrize("gw", [None, "10.5.0.1"])
async def test_a_gateway_that_goes_is_told(ground: Ground, gw: str | None) -> None:
    """A new address comes with its gateway or without one: by the plan before, by the step afterwards."""
    await ground.make()
    await change(ground, "j1", networks=[{"ip": "10.0.0.5/24", "gw": "10.0.0.1"}])
    args = {"networks": [{"ip": "10.5.0.5/24", **({"gw": gw} if gw else {})}]}

    explained = await plan(ground, await ground.command(JobKind.CONFIGURE, "j2", args=args))
    record = await change(ground, "j2", **args)

    words = "net0: the gateway goes"
    assert config_of(record).networks[0].gw == gw
    assert any(words in each for each in explained.warnings) is (gw is None)
    assert (words in message_of(record, "configure.config")) is (gw is None)


async def test_an_empty_name_server_is_the_nodes_again(ground: Ground) -> None:
    """Deleted with Proxmox; what is not said of the rest stays."""
    await ground.make()
    await change(ground, "j1", **LATER)

    record = await change(ground, "j2", nameserver="")

    held = config_of(record)
    assert record.state is JobState.SUCCEEDED, record.error
    assert (held.nameserver, held.searchdomain) == (None, LATER["searchdomain"])


async def change(ground: Ground, job: str, **args: Any) -> RunRecord:
    """Configure the container."""
    return await ground.run(await ground.command(JobKind.CONFIGURE, job, args=args))


async def root_of(ground: Ground) -> Cluster:
    """Reach the lab as root, who may make what no service account may."""
    lab, access = ground.lab, lab_client.access_to(ground.lab)
    secret = SecretStr(lab.root_password)
    api = replace(access.api, token_id=None, token_secret=None, username="root@pam", password=secret)
    return ground.hosts.open("root", replace(access, api=api))


async def plan(ground: Ground, command: Any) -> Explained:
    """Ask what a job would do."""
    return await ground.explain(command)


def config_of(record: RunRecord) -> HostConfig:
    """Return what was read back."""
    assert record.config is not None, record.error
    return record.config


def message_of(record: RunRecord, step: str) -> str:
    """Return what a step reported."""
    return next(each.message or "" for each in record.steps if each.name == step)
