"""Plans name what a node has, where a job asks for more."""

from datetime import UTC, datetime
from typing import Any

import pytest

from slipway.contracts.cluster_facts import NodeFacts, StorageFact
from slipway.contracts.container_specs import ContainerSpec, MountSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob, Target
from slipway.inventory.jobs.capacity import GIB, amount, warnings

SPEC = ContainerSpec(hostname="web", cores=2, memory=1024, disk=8, storage="lvm")


def storage(name: str, *, free: int | None, type: str = "lvm", is_shared: bool = False) -> StorageFact:  # noqa: A002
    """Return a storage of 100 GiB, of which so many are free."""
    free_bytes = None if free is None else free * GIB
    return StorageFact(
        name=name,
        type=type,
        content=("rootdir",),
        is_shared=is_shared,
        free_bytes=free_bytes,
        total_bytes=100 * GIB,
    )


def node(name: str, *storages: StorageFact) -> NodeFacts:
    """Return a node of 2 cores and 24 GiB."""
    seen = datetime(2026, 1, 1, tzinfo=UTC)
    return NodeFacts(
        node=name, is_online=True, cores=2, memory_bytes=24 * GIB, storages=storages, observed_at=seen
    )


NEEDED = {"hostname": "copy", "backup": "local:backup/a"}
"""What clones and restores need; the other kinds ignore it."""


def job(kind: JobKind, *, spec: ContainerSpec = SPEC, first_step: str | None = None, **args: Any) -> RunJob:
    """Return a job on pve1."""
    target = Target(container="c", cluster="x", cluster_name="home", node="pve1", vmid=101, hostname="web")
    return RunJob.model_validate(
        {
            "job": "j",
            "kind": kind,
            "target": target,
            "spec": spec,
            "args": {**NEEDED, **args},
            "first_step": first_step,
        }
    )


HUGE = SPEC.model_copy(update={"cores": 4096, "memory": 16 << 20, "disk": 100 << 10})
NODES = {"x": (node("pve1", storage("lvm", free=40)), node("pve2", storage("lvm", free=4)))}


@pytest.mark.parametrize("kind", [JobKind.CREATE, JobKind.CLONE, JobKind.RESTORE])
def test_what_is_made_is_held_against_its_node(kind: JobKind) -> None:
    """Memory, cores and disk are each named with what there is."""
    texts = warnings([job(kind, spec=HUGE)], NODES)

    assert texts == (
        "It asks for 16 TiB of memory; node pve1 has 24 GiB.",
        "It asks for 4096 cores; node pve1 has 2.",
        "It asks for 100 TiB of disk; storage lvm of node pve1 has 40 GiB free of 100 GiB.",
    )
    assert warnings([job(kind)], NODES) == ()


def test_a_resize_asks_for_what_it_adds() -> None:
    """A disk that grows by what is free fits; what is not changed is not asked for."""
    fits = job(JobKind.RESIZE, disk=48)
    over = job(JobKind.RESIZE, disk=49.5, memory=32 << 10)

    assert warnings([fits], NODES) == ()
    assert warnings([over], NODES) == (
        "It asks for 32 GiB of memory; node pve1 has 24 GiB.",
        "It asks for 41.5 GiB of disk; storage lvm of node pve1 has 40 GiB free of 100 GiB.",
    )
    assert warnings([job(JobKind.RESIZE, memory=64, spec=HUGE)], NODES) == ()


def test_a_move_is_held_against_the_other_node() -> None:
    """Disks on a shared storage stay there, unless another one is named."""
    shared = {
        "x": (
            node("pve1", storage("lvm", free=40)),
            node("pve2", storage("lvm", free=1, is_shared=True), storage("more", free=2)),
        )
    }

    local = warnings([job(JobKind.MIGRATE, target_node="pve2")], NODES)

    assert local == ("It asks for 8 GiB of disk; storage lvm of node pve2 has 4 GiB free of 100 GiB.",)
    assert warnings([job(JobKind.MIGRATE, target_node="pve2")], shared) == ()
    assert "storage more" in warnings([job(JobKind.MIGRATE, target_node="pve2", storage="more")], shared)[0]
    assert warnings([job(JobKind.MIGRATE, target_node="pve1", spec=HUGE)], NODES) == ()


def test_many_are_added_up_for_each_node() -> None:
    """Each fits alone; together they do not."""
    many = [job(JobKind.CREATE)] * 30

    assert warnings(many, NODES) == (
        "Together 30 of them ask for 30 GiB of memory; node pve1 has 24 GiB.",
        "Together 30 of them ask for 240 GiB of disk; storage lvm of node pve1 has 40 GiB free of 100 GiB.",
    )


def test_a_thin_storage_takes_promises() -> None:
    """It is reported that more than there is can be promised."""
    nodes = {"x": (node("pve1", storage("lvm", free=4, type="lvmthin")),)}

    (warning,) = warnings([job(JobKind.CREATE)], nodes)

    assert "has 4 GiB free of 100 GiB." in warning
    assert warning.endswith("until what is written fills it.")


@pytest.mark.parametrize("nodes", [(node("pve1"),), (node("pve1", storage("lvm", free=None)),)])
def test_what_is_not_known_is_reported(nodes: tuple[NodeFacts, ...]) -> None:
    """A storage that does not answer is not taken for one with room."""
    assert warnings([job(JobKind.CREATE)], {"x": nodes}) == (
        "How much is free on storage lvm of node pve1 is not known now.",
    )


def test_volumes_count_and_bind_mounts_do_not() -> None:
    """Each volume is on its own storage; what a retry finds is there already."""
    volume = MountSpec(storage="lvm", path="/srv", size=40)
    bind = MountSpec(storage="/srv/media", path="/media")
    spec = SPEC.model_copy(update={"mounts": (volume, bind)})

    (warning,) = warnings([job(JobKind.CREATE, spec=spec)], NODES)

    assert warning.startswith("It asks for 48 GiB of disk")
    assert warnings([job(JobKind.CREATE, spec=spec, first_step="start.task")], NODES) == ()


def test_jobs_that_ask_for_nothing_say_nothing() -> None:
    """A stop needs no room."""
    assert warnings([job(JobKind.STOP, spec=HUGE), job(JobKind.DELETE, spec=HUGE)], NODES) == ()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "nothing"),
        (512, "512 bytes"),
        (300 << 20, "300 MiB"),
        (24 * GIB, "24 GiB"),
        (1536 << 30, "1.5 TiB"),
    ],
)
def test_amounts_read_well(size: int, expected: str) -> None:
    """As people say them."""
    assert amount(size) == expected
