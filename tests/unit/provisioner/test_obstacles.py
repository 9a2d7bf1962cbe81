"""Obstacles to a job are derived from config and status alone."""

import pytest

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob, Target
from slipway.provisioner.dry_run.obstacles import Observation, refusal, warnings
from slipway.provisioner.host.locks import Lock
from slipway.proxmox.answers import ContainerConfig, ContainerStatus
from slipway.proxmox.task_answers import Task

UPID = "UPID:pve1:000006AF:0002EAD7:6B03A7B0:vzdump::root@pam:"
TARGET = Target(container="c", cluster="x", cluster_name="home", node="pve1", vmid=101, hostname="web")


def observed(ha: str | None = None, lock: Lock | None = None, **config: object) -> Observation:
    """Return a container that runs."""
    status = {"vmid": 101, "status": "running", "ha": {"managed": ha is not None, "state": ha}}
    return Observation(
        target=TARGET,
        config=ContainerConfig.model_validate({"digest": "d", **config}),
        status=ContainerStatus.model_validate(status),
        lock=lock,
    )


def job(kind: JobKind) -> RunJob:
    """Return a job."""
    args = {"target_node": "pve2", "snapshot": "s1", "backup": "local:backup/a", "hostname": "copy"}
    order = {"job": "j", "kind": kind, "target": TARGET, "spec": ContainerSpec(hostname="web")}
    return RunJob.model_validate({**order, "args": args})


@pytest.mark.parametrize("kind", [JobKind.START, JobKind.STOP, JobKind.SHUTDOWN, JobKind.MIGRATE])
def test_what_ha_gave_up_is_not_asked_of_it(kind: JobKind) -> None:
    """Proxmox would note the wish, and nobody would do it."""
    broken = refusal(job(kind), observed(ha="error"))

    assert broken is not None
    assert broken.code == "ha.broken"
    assert refusal(job(kind), observed(ha="started")) is None


def test_what_a_killed_creation_left_is_cleared_by_a_deletion() -> None:
    """Its lock stands in the way of everything else."""
    left = observed(lock=Lock(target=TARGET, name="create", holder=None, left_by=None))

    assert refusal(job(JobKind.DELETE), left) is None
    assert refusal(job(JobKind.STOP), left) is not None


def test_a_lock_that_passes_is_waited_for() -> None:
    """The plan says for whom, and fails nothing."""
    row = {"upid": UPID, "type": "vzdump", "user": "root@pam", "node": "pve1", "starttime": 1795401648}
    running = Task.model_validate(row)
    held = observed(lock=Lock(target=TARGET, name="backup", holder=running, left_by=None))

    assert refusal(job(JobKind.CONFIGURE), held) is None
    [warning] = warnings(job(JobKind.CONFIGURE), held)
    assert "vzdump of root@pam" in warning
    assert "waits" in warning


def test_nothing_unusual_is_no_warning() -> None:
    """A snapshot of what runs is as one expects it."""
    assert refusal(job(JobKind.SNAPSHOT), observed()) is None
    assert list(warnings(job(JobKind.SNAPSHOT), observed())) == []
