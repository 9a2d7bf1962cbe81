"""What inventory chooses, fills in and allows."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.contracts.cluster_facts import BridgeFact, NodeFacts, StorageFact, VmidRange
from slipway.contracts.container_specs import ContainerSpec, MountSpec, NetworkSpec
from slipway.contracts.job_kinds import CloneArgs, JobKind
from slipway.contracts.jobs import RunRecord, StepStatus, Target
from slipway.contracts.problems import Problem
from slipway.contracts.templates import Manifest, Resources, Variable
from slipway.contracts.values import JobState, Lifecycle, Phase
from slipway.inventory.containers.claims import name_taken
from slipway.inventory.containers.defaults import (
    FactsMissing,
    NodeUnknown,
    NoVmidLeft,
    VmidTaken,
    choose_vmid,
    complete,
    copied,
)
from slipway.inventory.containers.lifecycle import (
    TRANSITIONS,
    IllegalTransition,
    Standing,
    Trigger,
    actions,
    advance,
    batch_actions,
    first_step,
    outcome,
)
from slipway.inventory.containers.placement import choose_node

AT = datetime(2026, 1, 1, tzinfo=UTC)
VOLUMES = (
    "local:vztmpl/debian-12-standard_12.2-1_amd64.tar.zst",
    "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
)
MANIFEST = Manifest(
    name="web",
    version="1.0.0",
    description="",
    ostemplate="debian-12-standard",
    resources=Resources(cores=2, memory=1024),
    variables=(Variable(name="title", default="Hello"), Variable(name="key", is_secret=True)),
)


def node(name: str = "pve1", *, free: int = 1, **changes: Any) -> NodeFacts:
    """Return a node that is fit for use."""
    usual = {
        "node": name,
        "is_online": True,
        "is_ssh_usable": True,
        "storages": (
            StorageFact(name="local", type="dir", content=("vztmpl",), free_bytes=10**12),
            StorageFact(name="thin", type="lvmthin", content=("rootdir",), free_bytes=free),
        ),
        "bridges": (BridgeFact(name="vmbr0"),),
        "os_templates": VOLUMES,
        "appliances": ("alpine-3.20-default_20240908_amd64.tar.xz",),
        "observed_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return NodeFacts.model_validate(usual | changes)


def test_node_with_most_space_for_disks_is_chosen() -> None:
    """Space that can't hold disks does not count."""
    chosen = choose_node(
        None, [node("a", free=5), node("b", free=9), node("c", free=99, is_ssh_usable=False)]
    )

    assert chosen.node == "b"


def test_node_that_has_the_wanted_storage_is_chosen() -> None:
    """Space is no use where the storage is not; with none that has it, the fault is found later."""
    thin = StorageFact(name="thin", type="lvmthin", content=("rootdir",), free_bytes=9)
    fast = StorageFact(name="fast", type="lvmthin", content=("rootdir",), free_bytes=5)
    nodes = [node("a", storages=(thin, fast)), node("b", storages=(thin,), free=99)]

    assert choose_node(None, nodes, storages={"fast"}).node == "a"
    assert choose_node(None, nodes, storages={"thin"}).node == "b"
    assert choose_node(None, nodes, storages={"nowhere"}).node == "b"


def test_node_in_maintenance_is_the_last_choice() -> None:
    """A creation goes elsewhere; where there is no other, or if it is wanted there, it waits."""
    nodes = [node("a", free=5), node("b", free=9)]

    assert choose_node(None, nodes, in_maintenance={"b"}).node == "a"
    assert choose_node(None, nodes, in_maintenance={"a", "b"}).node == "b"
    assert choose_node("b", nodes, in_maintenance={"b"}).node == "b"


def test_unknown_node_is_reported_with_the_known_ones() -> None:
    """The message helps, and names the field."""
    with pytest.raises(NodeUnknown, match="pve1") as refused:
        choose_node("pve9", [node()])

    assert refused.value.errors[0].field == "node"


@pytest.mark.parametrize("changes", [{"is_online": False}, {"is_ssh_usable": False}])
def test_node_that_can_not_be_used_now_is_times_move(changes: dict[str, Any]) -> None:
    """It may be back in a minute: 503, not 4xx."""
    with pytest.raises(FactsMissing):
        choose_node("pve1", [node(**changes)])


@given(used=st.sets(st.integers(100, 130)), claimed=st.sets(st.integers(100, 130)))
def test_chosen_vmid_is_free_and_the_lowest(used: set[int], claimed: set[int]) -> None:
    """No one has it, and none below it is free."""
    chosen = choose_vmid(None, used=used, claimed=claimed)

    assert chosen not in used | claimed
    assert set(range(100, chosen)) <= used | claimed


def test_wanted_vmid_in_use_is_refused() -> None:
    """A VMID that the caller chose is never replaced silently."""
    with pytest.raises(VmidTaken) as refused:
        choose_vmid(104, used={104}, claimed=())

    assert refused.value.errors[0].field == "vmid"


def test_a_range_is_stored_to_and_may_be_full() -> None:
    """Only what Slipway chooses lies in it; a full one says what can be done."""
    within = VmidRange(first=200, last=202)

    assert choose_vmid(None, used={200}, claimed={201}, within=within) == 202
    assert choose_vmid(300, used=(), claimed=(), within=within) == 300
    with pytest.raises(NoVmidLeft, match="from 200 to 202") as refused:
        choose_vmid(None, used={200, 201}, claimed={202}, within=within)
    assert [each.field for each in refused.value.errors] == ["vmid"]


def test_every_default_is_filled() -> None:
    """Hostname and template are enough."""
    spec = complete(ContainerSpec(hostname="web-1", template="web"), MANIFEST, node())

    assert (spec.cores, spec.memory, spec.swap, spec.disk) == (2, 1024, 512, 4.0)
    assert (spec.node, spec.storage, spec.unprivileged) == ("pve1", "thin", True)
    assert spec.ostemplate == VOLUMES[1]
    assert spec.networks == (NetworkSpec(name="eth0", bridge="vmbr0", ip="dhcp"),)
    assert spec.variables == {"title": "Hello"}


def test_what_was_asked_for_is_stored() -> None:
    """A default never overrides a wish, also not zero or false."""
    asked = ContainerSpec(
        hostname="web-1",
        ostemplate=VOLUMES[0],
        memory=64,
        swap=0,
        unprivileged=False,
        features={"nesting": False},
    )

    spec = complete(asked, MANIFEST, node())

    assert (spec.memory, spec.swap, spec.unprivileged, spec.ostemplate) == (64, 0, False, VOLUMES[0])
    assert spec.features == {"nesting": False}


def test_unknown_storages_are_times_move() -> None:
    """An unknown fact is never accepted blind."""
    with pytest.raises(FactsMissing):
        complete(ContainerSpec(hostname="web-1", template="web"), MANIFEST, node(storages=()))


@given(lifecycle=st.sampled_from(Lifecycle), trigger=st.sampled_from(Trigger))
def test_what_is_not_in_the_table_is_refused(lifecycle: Lifecycle, trigger: Trigger) -> None:
    """A miss is an error, never ignored."""
    if (lifecycle, trigger) in TRANSITIONS:
        assert advance(lifecycle, trigger) is TRANSITIONS[lifecycle, trigger]
    else:
        with pytest.raises(IllegalTransition):
            advance(lifecycle, trigger)


@pytest.mark.parametrize(
    ("kind", "state", "exists", "lifecycle"),
    [
        (JobKind.CREATE, JobState.SUCCEEDED, True, Lifecycle.READY),
        (JobKind.CREATE, JobState.FAILED, True, Lifecycle.FAILED),
        (JobKind.CREATE, JobState.CANCELLED, False, Lifecycle.DELETED),
        (JobKind.DELETE, JobState.SUCCEEDED, False, Lifecycle.DELETED),
        (JobKind.DELETE, JobState.FAILED, True, Lifecycle.FAILED),
    ],
)
def test_end_of_a_job_moves_its_container(
    kind: JobKind, state: JobState, *, exists: bool, lifecycle: Lifecycle
) -> None:
    """A creation that left nothing frees its name and VMID."""
    begun = Lifecycle.CREATING if kind is JobKind.CREATE else Lifecycle.DELETING
    record = stood(exists=exists).model_copy(update={"kind": kind, "state": state})

    assert advance(begun, outcome(record)) is lifecycle


@pytest.mark.parametrize(
    ("was", "last", "lifecycle"),
    [
        (Lifecycle.READY, None, Lifecycle.READY),
        (Lifecycle.READY, "delete.stop", Lifecycle.READY),
        (Lifecycle.READY, "delete.task", Lifecycle.FAILED),
        (Lifecycle.FAILED, "delete.look", Lifecycle.FAILED),
    ],
)
def test_a_deletion_that_removed_nothing_leaves_what_was(
    was: Lifecycle, last: str | None, lifecycle: Lifecycle
) -> None:
    """A whole container is whole until the removal itself has begun."""
    steps = [StepStatus(name=last, started_at=AT)] if last else []
    record = stood(*steps).model_copy(update={"kind": JobKind.DELETE, "state": JobState.CANCELLED})

    assert advance(Lifecycle.DELETING, outcome(record, was)) is lifecycle


def stood(*steps: StepStatus, exists: bool = True) -> RunRecord:
    """Return the last record of a creation."""
    return RunRecord(
        id="j1",
        kind=JobKind.CREATE,
        state=JobState.FAILED,
        claim=1,
        commit="c",
        owner="p",
        target=Target(container="c1", cluster="k", cluster_name="home", node="n", vmid=100, hostname="web"),
        steps=steps,
        exists_on_host=exists,
        started_at=AT,
    )


def test_a_retry_begins_where_the_job_ended() -> None:
    """It never makes anew what exists, and never skips what was not done."""
    done = StepStatus(name="create.task", status="finished", started_at=AT)
    failed = StepStatus(name="sync.script.1", status="failed", started_at=AT)

    assert first_step(stood(done, failed), None) == "sync.script.1"
    assert first_step(stood(done, failed), Phase.START) == "start"
    assert first_step(stood(done), None) == "create"
    assert first_step(stood(), None, "sync.script.1") == "sync.script.1"
    assert first_step(stood(exists=False), Phase.SYNC) is None
    assert first_step(None, None) is None


DISKS = ContainerSpec(
    hostname="web",
    node="pve1",
    vmid=101,
    storage="slow",
    mounts=(
        MountSpec(storage="slow", size=1, path="/a"),
        MountSpec(storage="/srv/media", path="/b"),
    ),
    networks=(NetworkSpec(bridge="vmbr0", ip="10.0.0.5/24", hwaddr="BC:24:11:00:00:01"),),
)


@pytest.mark.parametrize(("storage", "stored"), [("fast", "fast"), (None, "slow")])
def test_disks_of_a_copy_are_known_to_be_where_it_was_made(storage: str | None, stored: str) -> None:
    """Root and volumes; a folder of the host is none of them."""
    copy = copied(DISKS, CloneArgs(hostname="web-2", storage=storage), "pve2")

    assert (copy.node, copy.storage) == ("pve2", stored)
    assert [mount.storage for mount in copy.mounts] == [stored, "/srv/media"]


def test_a_copy_has_its_own_name_and_macs() -> None:
    """A VMID that was not wished for is not claimed in its words either."""
    copy = copied(DISKS, CloneArgs(hostname="web-2"), "pve1")

    assert (copy.hostname, copy.vmid, copy.networks[0].hwaddr) == ("web-2", None, None)


@pytest.mark.parametrize(
    ("kind", "lifecycle", "since", "offered"),
    [
        (JobKind.CREATE, Lifecycle.FAILED, "", ("retry", "delete")),
        (JobKind.CREATE, Lifecycle.DELETED, "", ("retry",)),
        (JobKind.CREATE, Lifecycle.READY, "outdated", ("delete",)),
        (JobKind.CREATE, Lifecycle.CREATING, "busy", ()),
        (JobKind.DELETE, Lifecycle.READY, "", ("retry",)),
        (JobKind.START, Lifecycle.READY, "", ("retry",)),
        (JobKind.START, Lifecycle.READY, "outdated", ()),
        (JobKind.START, Lifecycle.DELETED, "", ()),
    ],
)
def test_only_what_is_not_refused_is_offered(
    kind: JobKind, lifecycle: Lifecycle, since: str, offered: tuple[str, ...]
) -> None:
    """After a failed job, by what became of its container since."""
    standing = Standing(lifecycle=lifecycle, is_busy=since == "busy", is_outdated=since == "outdated")

    assert actions(kind, JobState.FAILED, None, standing) == offered


@pytest.mark.parametrize(
    ("kind", "code", "offered"),
    [
        (JobKind.RESIZE, "disk.shrinks", ()),
        (JobKind.START, "proxmox.container-missing", ()),
        (JobKind.CREATE, "proxmox.container-missing", ("retry", "delete")),
        (JobKind.SNAPSHOT, "snapshot.exists", ()),
        (JobKind.RESTORE, "restore.container-lost", ("restore", "delete")),
        (JobKind.RESTORE, "backup.damaged", ()),
        (JobKind.CONFIGURE, "container.left-locked", ("unlock", "retry")),
        (JobKind.BACKUP, "backup.failed", ("retry",)),
    ],
)
def test_a_retry_is_offered_only_where_it_can_help(
    kind: JobKind, code: str, offered: tuple[str, ...]
) -> None:
    """What the same job would meet again is not tried again; another job may help."""
    standing = Standing(lifecycle=Lifecycle.FAILED, is_busy=False, is_outdated=False)
    record = stood().model_copy(update={"kind": kind, "error": Problem(code=code, message="it failed")})

    assert actions(kind, JobState.FAILED, record, standing) == offered


@pytest.mark.parametrize(
    ("kind", "codes", "offered"),
    [
        (JobKind.SNAPSHOT, {"snapshot.exists", "container.not-found"}, ()),
        (JobKind.SNAPSHOT, {"snapshot.exists", "node.unreachable"}, ("retry",)),
        (JobKind.SNAPSHOT, {"snapshot.exists", None}, ("retry",)),
        (JobKind.CREATE, {"proxmox.container-missing"}, ("retry",)),
        (JobKind.CREATE, {"template.render-failed"}, ()),
        (JobKind.START, set(), ()),
    ],
)
def test_a_retry_of_a_batch_is_offered_only_where_it_can_help(
    kind: JobKind, codes: set[str | None], offered: tuple[str, ...]
) -> None:
    """If it can help one item at least; of a batch that goes on, nothing but its cancel."""
    assert batch_actions(kind, JobState.FAILED, codes) == offered
    assert batch_actions(kind, JobState.RUNNING, codes) == ("cancel",)


def test_a_cancel_is_offered_until_the_point_of_no_return() -> None:
    """And always while a job waits."""
    final = StepStatus(name="delete.task", is_cancellable=False, started_at=AT)

    assert actions(JobKind.DELETE, JobState.QUEUED) == ("cancel",)
    assert actions(JobKind.DELETE, JobState.RUNNING, stood(final)) == ()


def test_the_refusal_of_a_name_that_is_not_known_names_none() -> None:
    """Neither its message nor its field shows an empty name."""
    refusal = name_taken("")

    assert refusal.message.startswith("A container exists")
    assert [(each.field, each.message) for each in refusal.errors] == [("hostname", refusal.message)]
