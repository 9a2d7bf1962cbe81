"""A paused installation on a real bus and database: it answers, begins nothing, and goes on when told to."""

import json
from datetime import datetime, timedelta

import pytest
from integration.inventory.test_acceptance import World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import AT, Fleet, fleet  # noqa: F401  a fixture
from sqlalchemy import text

from slipway.contracts import jobs
from slipway.contracts.cluster_facts import ClusterLook, OwnTask
from slipway.contracts.clusters import ListClusters
from slipway.contracts.installation import (
    GetInstallation,
    InstallationState,
    PauseCause,
    PlanResume,
    ResumeInstallation,
    ResumePlan,
)
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict, Unavailable
from slipway.contracts.values import JobState
from slipway.inventory.installation import gate
from slipway.inventory.installation.second_copy import SecondCopy
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


async def test_a_task_of_another_copy_pauses(fleet: Fleet) -> None:  # noqa: F811
    """A task of a job of ours does not; one that no job has started does, whoever else uses the token."""
    batch = await fleet.make(1)
    made = await fleet.job(batch.job.id)
    ours = _task(made.items[0].vmid, 1)
    second_copy = SecondCopy(fleet.unit, gate.Gate(fleet.world.tables))
    cluster, at = await _cluster(fleet), AT

    await second_copy.judge(_look(cluster, at))
    await second_copy.judge(_look(cluster, at + timedelta(minutes=1), ours))
    before = await fleet.world.gateway.ask(GetInstallation())
    await second_copy.judge(_look(cluster, at + timedelta(minutes=2), ours, _task(999, 2)))
    after = await fleet.world.gateway.ask(GetInstallation())

    assert (before.state, after.state) == (InstallationState.ACTIVE, InstallationState.PAUSED)
    assert after.cause is PauseCause.SECOND_COPY
    assert "vzstart of 999" in (after.reason or "")


async def test_what_stood_there_at_the_start_is_nobodys_business(fleet: Fleet) -> None:  # noqa: F811
    """The jobs of old tasks may have been removed; only what comes later is judged."""
    await fleet.make(1)
    second_copy = SecondCopy(fleet.unit, gate.Gate(fleet.world.tables))
    cluster, old = await _cluster(fleet), _task(999, 1)

    for minute in range(3):
        await second_copy.judge(_look(cluster, AT + timedelta(minutes=minute), old))

    shown = await fleet.world.gateway.ask(GetInstallation())
    assert shown.state is InstallationState.ACTIVE


async def test_a_restored_one_says_that_the_first_still_acts(fleet: Fleet) -> None:  # noqa: F811
    """Also on a container whose job has just ended; the plan that was seen before is not enough then."""
    batch = await fleet.make(1)
    vmid = (await fleet.job(batch.job.id)).items[0].vmid
    second_copy = SecondCopy(fleet.unit, gate.Gate(fleet.world.tables))
    cluster = await _cluster(fleet)
    await _pause(fleet)
    plan = await fleet.world.gateway.ask(PlanResume())

    for minute, tasks in enumerate(((), (_task(vmid, 1),)), 1):
        await second_copy.judge(_look(cluster, now() + timedelta(minutes=minute), *tasks))

    with pytest.raises(Conflict) as refused:
        await _resume(fleet, plan)
    shown = await fleet.world.gateway.ask(GetInstallation())
    assert refused.value.code == "installation.plan-changed"
    assert shown.cause is PauseCause.RESTORED
    assert "Somebody else acts" in (shown.reason or "")


def _task(vmid: int, number: int) -> OwnTask:
    upid = f"UPID:pve1:0000{number:04X}:00000001:6B03A57F:vzstart:{vmid}:slipway-1@pve!main:"
    return OwnTask(upid=upid, type="vzstart", vmid=vmid)


def _look(cluster: Id, at: datetime, *tasks: OwnTask) -> ClusterLook:
    return ClusterLook(cluster=cluster, at=at, every_seconds=1, tasks_at=at, tasks=tasks)


async def _cluster(fleet: Fleet) -> Id:  # noqa: F811
    return (await fleet.world.gateway.ask(ListClusters())).items[0].id


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
