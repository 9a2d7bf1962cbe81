"""A paused installation on a real bus and database: it answers, begins nothing, and goes on when told to."""

import json

import pytest
from integration.inventory.test_acceptance import World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture
from sqlalchemy import text

from slipway.contracts import jobs
from slipway.contracts.installation import (
    GetInstallation,
    InstallationState,
    PlanResume,
    ResumeInstallation,
    ResumePlan,
)
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict, Unavailable
from slipway.contracts.values import JobState
from slipway.inventory.installation import gate
from slipway.inventory.installation.store import COMMANDS_MAY_LEAVE
from slipway.runtime.process.clock import now


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is read for each question."""
    monkeypatch.setattr(gate, "FRESH_SECONDS", -1.0)


async def test_a_paused_one_refuses_changes(fleet: Fleet) -> None:  # noqa: F811
    """It answers questions; a run gets nothing, and is to come again."""
    batch = await fleet.make(1)
    await _pause(fleet)

    with pytest.raises(Conflict) as refused:
        await fleet.world.create("late")
    with pytest.raises(Unavailable) as held:
        await fleet.world.gateway.ask(jobs.GetJobSecrets(job=batch.job.id))

    assert (refused.value.code, held.value.code) == ("installation.paused", "installation.runs-held")
    assert (await fleet.job(batch.job.id)).state is JobState.SUCCEEDED
    shown = await fleet.world.gateway.ask(GetInstallation())
    assert shown.state is InstallationState.PAUSED


async def test_no_job_begins_and_no_command_leaves(fleet: Fleet) -> None:  # noqa: F811
    """Also when there is room again, and when a command stands in the outbox already."""
    running = [await fleet.world.create(f"web-{number}") for number in range(2)]
    waiting = await fleet.world.create("waits")
    await _pause(fleet)

    for each in running:
        await fleet.take(each.job.id, JobState.SUCCEEDED)

    assert await _commands(fleet, waiting.job.id) == []
    async with fleet.world.tables.begin() as tx:
        assert await tx.scalar(text(f"select {COMMANDS_MAY_LEAVE}")) is False


async def test_a_resume_drops_what_is_not_named(fleet: Fleet) -> None:  # noqa: F811
    """Commands that have not left are gone; one is named and begins, others are ended without a host."""
    first, second = [await fleet.world.create(f"web-{number}") for number in range(2)]
    named, waiting = [await fleet.world.create(f"late-{number}") for number in range(2)]
    await _pause(fleet)
    plan = await fleet.world.gateway.ask(PlanResume())

    resumed = await _resume(fleet, plan, keep=(named.job.id,))

    assert resumed is InstallationState.ACTIVE
    accepted = {first.job.id, second.job.id, named.job.id, waiting.job.id}
    assert {each.id for each in plan.jobs} == accepted
    assert await _commands(fleet, waiting.job.id) == ["slipway.v1.command.provisioner.job.cancel"]
    assert await _commands(fleet, first.job.id) == ["slipway.v1.command.provisioner.job.cancel"]
    for each in (first, second):
        await fleet.take(each.job.id, JobState.CANCELLED, exists=False)
    assert await _commands(fleet, named.job.id) == ["slipway.v1.command.provisioner.job.run"]


async def test_another_difference_is_confirmed_anew(fleet: Fleet) -> None:  # noqa: F811
    """A plan that was seen names what it showed; a cluster that nobody looked at is a reason of its own."""
    batch = await fleet.make(1)
    await _pause(fleet)
    plan = await fleet.world.gateway.ask(PlanResume())

    with pytest.raises(Conflict) as unseen:
        await fleet.world.gateway.ask(ResumeInstallation(hash=plan.hash))
    await _accept(fleet, str((await fleet.job(batch.job.id)).items[0].container))
    with pytest.raises(Conflict) as changed:
        await _resume(fleet, plan)

    assert (unseen.value.code, plan.unseen_clusters) == ("installation.cluster-unseen", ("home",))
    assert changed.value.code == "installation.plan-changed"


async def _pause(fleet: Fleet) -> None:  # noqa: F811
    statement = "update installation set state = 'paused', cause = 'restored', reason = 'why', since = :at"
    async with fleet.world.tables.begin() as tx:
        await tx.execute(text(statement), {"at": now()})


async def _accept(fleet: Fleet, container: Id) -> None:  # noqa: F811
    """Accept a job in the moment before the pause was seen."""
    async with fleet.world.tables.begin() as tx:
        await tx.execute(text("update installation set state = 'active'"))
    request = jobs.RequestJob.model_validate({"container": container, "kind": JobKind.START})
    await fleet.world.gateway.ask(request)
    await _pause(fleet)


async def _resume(fleet: Fleet, plan: ResumePlan, keep: tuple[Id, ...] = ()) -> InstallationState:  # noqa: F811
    request = ResumeInstallation(hash=plan.hash, keep=keep, despite_unseen=True)
    return (await fleet.world.gateway.ask(request)).state


async def _commands(fleet: Fleet, job: Id) -> list[str]:  # noqa: F811
    """Return the subjects of a job's commands in the outbox."""
    async with fleet.world.tables.begin() as tx:
        rows = await tx.execute(text("select subject, payload from outbox order by id"))
        commands = [(row.subject, json.loads(row.payload)) for row in rows if ".command." in row.subject]
    return [subject for subject, payload in commands if payload["job"] == job]
