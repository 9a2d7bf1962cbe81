"""What the cluster allows of its hosts is asked at the moment of use, whatever was so at acceptance."""

from slipway.contracts.cluster_settings import DENIED, ClusterLimits
from slipway.contracts.job_kinds import ConfigureArgs, JobKind
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


async def test_a_copy_is_refused_what_was_taken_back(ground: Ground) -> None:
    """It would be a new container with it; nothing is made."""
    await ground.make()
    ground.answers.limits = DENIED
    target = ground.target().model_copy(update={"vmid": 101, "container": "c2"})
    command = await ground.command(JobKind.CLONE, source=ground.target(), target=target)
    spec = command.spec.model_copy(update={"features": {"mknod": True}})

    refused = await ground.run(command.model_copy(update={"spec": spec}))

    assert refused.error is not None
    assert (refused.error.code, refused.error.details["step"]) == ("restricted-key.forbidden", "clone.look")
