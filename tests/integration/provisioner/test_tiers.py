"""A run at a lower tier: with the token that the token script makes for it, and without SSH."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from slipway.contracts.job_kinds import KINDS, JobKind
from slipway.contracts.tiers import TIERS, Tier
from slipway.contracts.values import JobState
from slipway.lab import faults
from slipway.lab.node import Lab
from slipway.proxmox.access import ApiAccess, ClusterAccess
from support.lab import running_lab
from support.provisioner_side import Ground

ARGS = {
    JobKind.SNAPSHOT: {"snapshot": "before"},
    JobKind.ROLLBACK: {"snapshot": "before"},
    JobKind.SNAPSHOT_DELETE: {"snapshot": "before"},
}
ORDER = (
    *(JobKind.START, JobKind.RESTART, JobKind.SHUTDOWN, JobKind.SNAPSHOT, JobKind.ROLLBACK),
    *(JobKind.SNAPSHOT_DELETE, JobKind.BACKUP, JobKind.START, JobKind.STOP),
)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A node on which the token may do what the tier includes."""
    async with running_lab(tmp_path / "lab", service_acl=TIERS[Tier.OPERATE].privileges) as lab:
        yield lab


@pytest.fixture
async def ground(ground: Ground) -> Ground:
    """A worker for a cluster of tier operate, and a container that it knows."""
    lab = ground.lab
    api = ApiAccess(
        endpoint=lab.endpoint,
        tls_fingerprint=lab.fingerprint,
        token_id=lab.root_token_id,
        token_secret=SecretStr(lab.root_token_secret),
    )
    await ground.make(by=ground.hosts.open("root", ClusterAccess(api=api)), rootfs="local-lvm:1")
    ground.answers.tier = Tier.OPERATE
    return ground


async def test_operate_does_what_it_includes_by_token_alone(ground: Ground) -> None:
    """All its kinds succeed, without one connection over SSH."""
    ssh = ground.lab.faults.order(faults.SshRefused(times=1000))
    records = [
        await ground.run(await ground.command(kind, job=f"j{number}", args=ARGS.get(kind, {})))
        for number, kind in enumerate(ORDER)
    ]

    assert set(ORDER) == {each for each in JobKind if KINDS[each].tier is Tier.OPERATE}
    assert [(each.kind, each.error) for each in records if each.state is not JobState.SUCCEEDED] == []
    assert ground.lab.faults.met(ssh) == 0


async def test_a_job_of_before_is_refused_once_its_cluster_is_lowered(ground: Ground) -> None:
    """Nothing is asked of the host."""
    record = await ground.run(await ground.command(JobKind.DELETE))

    assert record.state is JobState.FAILED
    assert record.error is not None
    assert record.error.code == "cluster.tier"
    assert "home has tier operate now, and container.delete needs full" in record.error.message
    assert await ground.is_there()
