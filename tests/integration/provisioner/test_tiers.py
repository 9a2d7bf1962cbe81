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
from support.lab import api_client, running_lab
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
async def lab(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    """A node on which the token may do what tier operate includes, or what the test says."""
    acl = getattr(request, "param", TIERS[Tier.OPERATE].privileges)
    async with running_lab(tmp_path / "lab", service_acl=acl) as lab:
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


IN_POOL = {
    **TIERS[Tier.FULL].privileges,
    "/vms": frozenset({"VM.Audit"}),
    "/pool/slipway": TIERS[Tier.FULL].privileges["/vms"] | {"Pool.Audit"},
}
"""What the token script gives with POOL=slipway."""


@pytest.mark.parametrize("lab", [IN_POOL], indirect=True)
async def test_a_token_of_a_pool_does_everything_there_and_nothing_elsewhere(ground: Ground) -> None:
    """A creation, changes, a copy, a restore and an end within the pool; another container stays."""
    ground.answers.tier = Tier.FULL
    async with api_client(ground.lab, as_root=True) as root:
        (await root.post("/pools", data={"poolid": "slipway"})).raise_for_status()
    made = await ground.command(JobKind.CREATE, target=ground.target(101, "c2"))
    made = made.model_copy(update={"spec": made.spec.model_copy(update={"pool": "slipway"})})
    beside = {"target": made.target, "spec": made.spec}
    copy = {**beside, "target": ground.target(102, "c3"), "source": made.target}

    records = [
        await ground.run(made),
        await ground.run(await ground.command(JobKind.RESIZE, "j2", args={"cores": 2}, **beside)),
        await ground.run(await ground.command(JobKind.STOP, "j3", **beside)),
        await ground.run(await ground.command(JobKind.CLONE, "j4", args={"hostname": "web-2"}, **copy)),
        await ground.run(await ground.command(JobKind.BACKUP, "j5", **beside)),
        await ground.run(await ground.command(JobKind.DELETE, "j6", **beside)),
    ]
    elsewhere = await ground.run(await ground.command(JobKind.DELETE, "j7"))

    assert [(each.kind, each.error) for each in records if each.state is not JobState.SUCCEEDED] == []
    assert elsewhere.error is not None
    assert "Permission check failed (/vms/100, VM.Allocate)" in elsewhere.error.message
    assert await ground.is_there()
