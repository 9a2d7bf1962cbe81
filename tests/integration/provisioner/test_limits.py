"""What the cluster allows of its hosts is asked at the moment of use, whatever was so at acceptance."""

from slipway.contracts.cluster_settings import DENIED, ClusterLimits
from slipway.contracts.job_kinds import (
    Args,
    CloneArgs,
    ConfigureArgs,
    JobKind,
    SnapshotArgs,
    SnapshotNameArgs,
)
from slipway.contracts.values import JobState
from support.provisioner_side import Ground


async def test_limits_that_were_taken_back_are_met_by_an_accepted_job(ground: Ground) -> None:
    """The job fails before it changes anything; once allowed again its retry succeeds."""
    await ground.make()
    args = ConfigureArgs(description="seen", devices=("/dev/net/tun",))
    ground.answers.limits = DENIED

    refused = await ground.run(await ground.command(JobKind.CONFIGURE, args=args))
    notes = (await ground.cluster.api.config(ground.lab.name, 100)).description
    ground.answers.limits = ClusterLimits(restricted_keys=True)
    allowed = await ground.run(await ground.command(JobKind.CONFIGURE, "j2", args=args))

    assert refused.error is not None
    assert (refused.error.code, refused.error.details["step"]) == (
        "restricted-key.forbidden",
        "configure.look",
    )
    assert "slipway cluster limits set" in refused.error.message
    assert "seen" not in notes
    assert allowed.state is JobState.SUCCEEDED, allowed.error
    assert "/dev/net/tun" in str((await ground.cluster.api.config(ground.lab.name, 100)).devices)


async def test_what_was_taken_back_does_not_come_back(ground: Ground) -> None:
    """Neither by a rollback nor by a copy, whose config is the snapshot's."""
    await ground.make(rootfs="local-lvm:1")
    target = ground.target()
    copy = target.model_copy(update={"vmid": 101, "container": "c2"})
    ground.answers.limits = ClusterLimits(restricted_keys=True)
    before: tuple[tuple[JobKind, Args], ...] = (
        (JobKind.CONFIGURE, ConfigureArgs(devices=("/dev/net/tun",))),
        (JobKind.SNAPSHOT, SnapshotArgs(snapshot="before")),
        (JobKind.CONFIGURE, ConfigureArgs(devices=())),
    )
    for number, (kind, args) in enumerate(before):
        done = await ground.run(await ground.command(kind, f"b{number}", args=args))
        assert done.state is JobState.SUCCEEDED, done.error
    ground.answers.limits = DENIED

    to = SnapshotNameArgs(snapshot="before")
    rollback = await ground.run(await ground.command(JobKind.ROLLBACK, "j1", args=to))
    of_old, of_new = CloneArgs(hostname="copy", snapshot="before"), CloneArgs(hostname="copy")
    old = await ground.command(JobKind.CLONE, "j2", args=of_old, source=target, target=copy)
    new = await ground.command(JobKind.CLONE, "j3", args=of_new, source=target, target=copy)
    refused, made = await ground.run(old), await ground.run(new)

    assert made.state is JobState.SUCCEEDED, made.error
    for record, step in ((rollback, "rollback.look"), (refused, "clone.look")):
        assert record.error is not None
        assert (record.error.code, record.error.details["step"]) == ("restricted-key.forbidden", step)
        assert record.error.message.startswith("dev0: ")
