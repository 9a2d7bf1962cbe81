"""The typed client, from a creation to a deletion."""

import pytest

from slipway.client.client import Client
from slipway.client.transport import ApiProblem
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.values import JobState, Lifecycle, Power
from support.stack import RunningStack


@pytest.mark.timeout(200)
async def test_a_container_lives_and_goes(stack: RunningStack) -> None:
    """Each change is accepted at once, and `wait` returns its job as it ended."""
    async with Client.connect(stack.data) as client:
        plan = await client.plan_create(ContainerSpec(template="debian-base", hostname="client"))
        accepted = await client.create(ContainerSpec(template="debian-base", hostname="client"))
        created = await client.wait(accepted.job.id)
        container = await client.container(accepted.container.id)
        password = await client.reveal(container.id, container.credentials[0].id)
        stopped = await client.wait((await client.change(container.id, "stop")).job.id)
        resized = await client.wait((await client.change(container.id, "resize", memory=768)).job.id)
        listed = await client.containers(q="client")
        deleted = await client.wait((await client.delete(container.id)).job.id)
        with pytest.raises(ApiProblem, match="container"):
            await client.container("none")
        jobs = await client.jobs(limit=4)
        entries = await client.audit(limit=4)

    assert plan.container.hostname == "client"
    assert {each.state for each in (created, stopped, resized, deleted)} == {JobState.SUCCEEDED}
    assert (container.lifecycle, container.power) == (Lifecycle.READY, Power.RUNNING)
    assert len(password) > 8
    assert [(each.spec.memory, each.power) for each in listed] == [(768, Power.STOPPED)]
    assert [each.id for each in jobs] == [deleted.id, resized.id, stopped.id, created.id]
    assert "container.delete" in {each.action for each in entries}
