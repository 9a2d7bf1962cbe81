"""What stands in a job's way is told from config and status alone."""

import pytest

from slipway.contracts.containers import ContainerSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob, Target
from slipway.provisioner.host.locks import Lock
from slipway.provisioner.host.obstacles import Seen, refusal, warnings
from slipway.proxmox.answers import ContainerConfig, ContainerStatus
from slipway.proxmox.task_answers import Task

UPID = "UPID:pve1:000006AF:0002EAD7:6B03A7B0:vzdump::root@pam:"
TARGET = Target(container="c", cluster="x", cluster_name="home", node="pve1", vmid=101, hostname="web")


def seen(ha: str | None = None, lock: Lock | None = None, **config: object) -> Seen:
    """Give a container that runs."""
    status = {"vmid": 101, "status": "running", "ha": {"managed": ha is not None, "state": ha}}
    return Seen(
        target=TARGET,
        config=ContainerConfig.model_validate({"digest": "d", **config}),
        status=ContainerStatus.model_validate(status),
        lock=lock,
    )


def job(kind: JobKind) -> RunJob:
    """Give a job."""
    args = {"target_node": "pve2", "snapshot": "s1", "backup": "local:backup/a", "hostname": "copy"}
    order = {"job": "j", "kind": kind, "target": TARGET, "spec": ContainerSpec(hostname="web")}
    return RunJob.model_validate({**order, "args": args})


@pytest.mark.parametrize("kind", [JobKind.START, JobKind.STOP, JobKind.SHUTDOWN, JobKind.MIGRATE])
def test_what_ha_gave_up_is_not_asked_of_it(kind: JobKind) -> None:
    """Proxmox would note the wish, and nobody would do it."""
    broken = refusal(job(kind), seen(ha="error"))

    assert broken is not None
    assert broken.code == "ha.broken"
    assert refusal(job(kind), seen(ha="started")) is None


def test_what_a_killed_creation_left_is_cleared_by_a_deletion() -> None:
    """Its lock stands in the way of everything else."""
    left = seen(lock=Lock(target=TARGET, name="create", holder=None, left_by=None))

    assert refusal(job(JobKind.DELETE), left) is None
    assert refusal(job(JobKind.STOP), left) is not None


def test_a_lock_that_passes_is_waited_for() -> None:
    """The plan says for whom, and fails nothing."""
    row = {"upid": UPID, "type": "vzdump", "user": "root@pam", "node": "pve1", "starttime": 1795401648}
    running = Task.model_validate(row)
    held = seen(lock=Lock(target=TARGET, name="backup", holder=running, left_by=None))

    assert refusal(job(JobKind.CONFIGURE), held) is None
    [told] = warnings(job(JobKind.CONFIGURE), held)
    assert "vzdump of root@pam" in told
    assert "waits" in told


def test_nothing_unusual_is_nothing_to_tell() -> None:
    """A snapshot of what runs is as one expects it."""
    assert refusal(job(JobKind.SNAPSHOT), seen()) is None
    assert list(warnings(job(JobKind.SNAPSHOT), seen())) == []
