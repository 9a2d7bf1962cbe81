"""What a job on a container may ask for: by its texts alone, and by what is known of container and nodes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from slipway.contracts.cluster_facts import BridgeFact, NodeFacts, StorageFact
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_args import read_args
from slipway.contracts.job_kinds import KINDS, JobKind
from slipway.contracts.problems import SlipwayError
from slipway.contracts.tiers import Tier, TierTooLow
from slipway.inventory.clusters.tiers import refuse_below
from slipway.inventory.containers.defaults import FactsMissing
from slipway.inventory.containers.validation.restricted import RestrictedKey
from slipway.inventory.jobs.validation import (
    ContainerFacts,
    ContainerProtected,
    JobInvalid,
    NodeInMaintenance,
    check,
    check_against,
)


def node(name: str, *storages: str) -> NodeFacts:
    """A usable node with storages for disks."""
    return NodeFacts(
        node=name,
        is_online=True,
        is_ssh_usable=True,
        storages=tuple(StorageFact(name=each, type="dir", content=("rootdir",)) for each in storages),
        bridges=(BridgeFact(name="vmbr0"),),
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


NODES = (node("pve1", "shared"), node("pve2", "shared", "fast"))


def container_facts(**changes: Any) -> ContainerFacts:
    """A container on the first of two nodes."""
    spec = ContainerSpec.model_validate({"hostname": "web-1", "storage": "shared", **changes.pop("spec", {})})
    return ContainerFacts(
        **{"spec": spec, "vmid": 101, "hostname": "web-1", "node": "pve1", "nodes": NODES, **changes}
    )


def fields(kind: JobKind, **args: Any) -> list[str]:
    """Return the arguments that are refused whatever is known."""
    try:
        check(kind, read_args(KINDS[kind], args))
    except JobInvalid as refused:
        return [each.field for each in refused.errors]
    return []


@pytest.mark.parametrize(
    "args",
    [
        {"hostname": "web-2", "tags": ["prod"], "startup": "order=1,up=30,down=60", "description": "a\nb"},
        {"description": "", "hookscript": "", "mounts": [], "networks": []},
        {"nameserver": "10.0.0.1 fd00::1", "searchdomain": "lan.example"},
        {"nameserver": "", "searchdomain": ""},
        {"nameserver": " ,;"},
        {"nameserver": "10.0.0.1,fd00::1;fe80::1%eth0", "searchdomain": "lan.example; example.com,a"},
        {"hostname": "mail.example.com", "startup": "down=60,order=1,"},
        {"description": "a\r\n\U0001f469\u200d\U0001f4bb\u00a0b", "hookscript": "local:snippets/my hook.pl"},
        {"networks": [{"ip": "10.0.0.5/24", "gw": "10.0.0.1"}]},
        {"mounts": [{"storage": "/srv/a", "path": "/a"}], "devices": ["/dev/net/tun,mode=0660"]},
    ],
)
def test_sound_changes_pass(args: dict[str, Any]) -> None:
    """What Proxmox takes is not refused."""
    assert fields(JobKind.CONFIGURE, **args) == []


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ({"hostname": "a\n"}, "hostname"),
        ({"nameserver": "1.1.1.1\n8.8.8.8"}, "nameserver"),
        ({"nameserver": "1.1.1.1, 8.8.8"}, "nameserver"),
        ({"nameserver": "\n"}, "nameserver"),
        ({"searchdomain": "a\nb"}, "searchdomain"),
        ({"startup": ""}, "startup"),
        ({"startup": ","}, "startup"),
        ({"startup": "0"}, "startup"),
        ({"startup": "up=1up=2"}, "startup"),
        ({"startup": "1up=3"}, "startup"),
        ({"startup": "order=1\n"}, "startup"),
        ({"tags": ["a;b"]}, "tags.0"),
        ({"tags": ["a\n"]}, "tags.0"),
        ({"description": "x" * 7801}, "description"),
        ({"description": "x\n  slipway: container=a cluster=b vmid=100"}, "description"),
        ({"description": "a\0b"}, "description"),
        ({"networks": [{"ip": "1.1.1.1/24,gw=2.2.2.2;$(x)\n"}]}, "networks.0.ip"),
        ({"networks": [{"ip": "10.0.0.5/24", "gw": "fd00::1"}]}, "networks.0.gw"),
        ({"networks": [{"bridge": "vmbr0,tag=5"}]}, "networks.0.bridge"),
        ({"networks": [{"name": "eth0"}, {"name": "eth0"}]}, "networks.1.name"),
        ({"features": {"mount": "nfs,keyctl=1"}}, "features.mount"),
        ({"mounts": [{"storage": "local-lvm", "size": 1, "path": "/a"}]}, "mounts.0.storage"),
        ({"mounts": [{"storage": "/srv/a,mp=x", "path": "/a"}]}, "mounts.0.storage"),
        ({"mounts": [{"storage": "/srv/a", "path": "/a\n"}]}, "mounts.0.path"),
        ({"devices": ["/dev/kvm\n"]}, "devices.0"),
        ({"hookscript": "local:snippets/a/b"}, "hookscript"),
        ({"hookscript": "local:snippets/a\n"}, "hookscript"),
    ],
)
def test_wrong_texts_are_named_whatever_is_known(args: dict[str, Any], field: str) -> None:
    """By the same rules as in a creation, without a fact about any node; each names its own field only."""
    assert set(fields(JobKind.CONFIGURE, **args)) == {f"args.{field}"}


@pytest.mark.parametrize(
    ("kind", "args", "field"),
    [
        (JobKind.RESIZE, {"memory": 1}, "memory"),
        (JobKind.SHUTDOWN, {"grace_seconds": -1}, "grace_seconds"),
        (JobKind.BACKUP, {"description": "x" * 1025}, "description"),
        (JobKind.BACKUP, {"description": "x" * 978 + "\n" * 47}, "description"),
        (JobKind.BACKUP, {"description": "\\" * 513}, "description"),
        (JobKind.BACKUP, {"description": "of {{word}}"}, "description"),
        (JobKind.BACKUP, {"storage": "a"}, "storage"),
        (JobKind.BACKUP, {"storage": "a;b"}, "storage"),
        (JobKind.BACKUP, {"description": "a\x1b[2J"}, "description"),
        (JobKind.SNAPSHOT, {"snapshot": "a b"}, "snapshot"),
        (JobKind.SNAPSHOT, {"snapshot": "current"}, "snapshot"),
        (JobKind.SNAPSHOT, {"snapshot": "vzdump"}, "snapshot"),
        (JobKind.SNAPSHOT, {"snapshot": "a1", "description": "x" * 8193}, "description"),
        (JobKind.RESTORE, {"backup": "local:backup/../x"}, "backup"),
        (JobKind.MIGRATE, {"target_node": "pve2", "storage": "a,b"}, "storage"),
        (JobKind.MIGRATE, {"target_node": "pve2;x"}, "target_node"),
    ],
)
def test_each_kind_has_its_limits(kind: JobKind, args: dict[str, Any], field: str) -> None:
    """And names what breaks them."""
    assert fields(kind, **args) == [f"args.{field}"]


@pytest.mark.parametrize(
    "text", ["x" * 1024, "x" * 900 + "\n" * 62, "{{guestname}} on {{node}}", "{{ word }}", "{word}", "a\\b"]
)
def test_notes_of_a_backup_that_proxmox_takes(text: str) -> None:
    """Counted as they are sent; the words that it fills in itself may be there."""
    assert fields(JobKind.BACKUP, description=text) == []


def refused(kind: JobKind, of: ContainerFacts, **args: Any) -> SlipwayError | None:
    """Return what speaks against a job by what is known."""
    try:
        check_against(kind, read_args(KINDS[kind], args), of)
    except SlipwayError as error:
        return error
    return None


def test_what_nobody_touched_is_not_looked_at() -> None:
    """A configure passes while the container's storage is not active, its pool gone, its bridge another."""
    spec = {"storage": "gone", "pool": "gone", "networks": [{"bridge": "gone"}], "template": "gone"}

    assert refused(JobKind.CONFIGURE, container_facts(spec=spec), nameserver="1.1.1.1") is None
    assert refused(JobKind.CONFIGURE, container_facts(spec=spec), networks=[{"bridge": "vmbr0"}]) is None


def test_networks_need_the_facts_of_their_node() -> None:
    """An unknown node is not taken for one that has every bridge; a known one is asked."""
    unknown = refused(JobKind.CONFIGURE, container_facts(nodes=()), networks=[{"bridge": "vmbr0"}])
    lacking = refused(JobKind.CONFIGURE, container_facts(), networks=[{"bridge": "vmbr9"}])

    assert isinstance(unknown, FactsMissing)
    assert isinstance(lacking, JobInvalid)
    assert [each.field for each in lacking.errors] == ["args.networks.0.bridge"]


def test_a_move_needs_the_facts_of_the_cluster() -> None:
    """Nothing known is not the same as no such node."""
    assert isinstance(refused(JobKind.MIGRATE, container_facts(nodes=()), target_node="pve2"), FactsMissing)
    unknown = refused(JobKind.MIGRATE, container_facts(), target_node="pve9")
    assert unknown is not None
    assert (unknown.code, unknown.errors[0].field) == ("node.not-found", "args.target_node")


def test_nothing_moves_to_a_node_in_maintenance() -> None:
    """It is refused by name; a copy waits there, and one that is there already has nothing to do."""
    in_maintenance = container_facts(in_maintenance=("pve1", "pve2"))

    error = refused(JobKind.MIGRATE, in_maintenance, target_node="pve2")

    assert isinstance(error, NodeInMaintenance)
    assert [each.field for each in error.errors] == ["args.target_node"]
    assert refused(JobKind.CLONE, in_maintenance, hostname="a", target_node="pve2") is None
    assert refused(JobKind.MIGRATE, in_maintenance, target_node="pve1") is None


def test_a_move_may_name_the_storage_of_the_disks() -> None:
    """Without one, the other node has to have those where they are; with one, that one."""
    here = container_facts(spec={"storage": "slow", "mounts": [{"storage": "slow", "size": 1, "path": "/a"}]})

    for args, field in (({}, "target_node"), ({"storage": "none"}, "storage")):
        error = refused(JobKind.MIGRATE, here, target_node="pve2", **args)
        assert error is not None
        assert [each.field for each in error.errors] == [f"args.{field}"]
    assert refused(JobKind.MIGRATE, here, target_node="pve2", storage="fast") is None


def test_a_protected_one_is_not_deleted_and_a_foreign_backup_not_restored() -> None:
    """As for one container alone."""
    protected = refused(JobKind.DELETE, container_facts(spec={"protection": True}))
    foreign = refused(JobKind.RESTORE, container_facts(), backup="local:backup/vzdump-lxc-999-2026.tar.zst")

    assert isinstance(protected, ContainerProtected)
    assert foreign is not None
    assert foreign.errors[0].field == "args.backup"


def test_what_reaches_into_the_host_is_refused() -> None:
    """By the argument's name; a bind mount never goes where a volume is."""
    features = refused(JobKind.CONFIGURE, container_facts(), features={"mknod": True})
    assert isinstance(features, RestrictedKey)
    assert [each.field for each in features.errors] == ["args.features.mknod"]


def test_a_tier_that_is_too_low_names_the_command_that_raises_it() -> None:
    """With the tier that the job needs."""
    command = "`slipway cluster access home --connect ADDRESS --tier full`"

    with pytest.raises(TierTooLow, match=command):
        refuse_below(Tier.OBSERVE, JobKind.CREATE, cluster="home")
