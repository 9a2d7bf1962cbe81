"""The queue of a node on a real bus and database: what enters it can leave it, and who waits knows where."""

import json
from collections.abc import Sequence

import pytest
from integration.inventory.test_acceptance import ARCHIVE, World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture
from sqlalchemy import select, text, update

from slipway.contracts import container_specs, containers, jobs
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id
from slipway.contracts.problems import Invalid, TooLarge
from slipway.contracts.values import JobState
from slipway.inventory import tables

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICP+qXG+Or3eDRQ2cRKjwlsfm5u1Yc8pHsR0o0mMS1Vg"


async def test_what_would_not_fit_into_a_message_is_refused_at_once(fleet: Fleet) -> None:  # noqa: F811
    """Also when its turn would come much later; the fault names what is too large, alone or together."""
    alone = container_specs.ContainerSpec(hostname="big", ostemplate=ARCHIVE, env={"A": "x" * 600_000})
    together = container_specs.ContainerSpec(
        hostname="big",
        ostemplate=ARCHIVE,
        env={"A": "x" * 16_000},
        tags=tuple(f"tag-{number:04}" for number in range(1400)),
        packages=(container_specs.PackageSpec(names=("curl",) * 2000),),
        ssh_public_keys="\n".join([KEY] * 190),
        description="x" * 7000,
    )

    with pytest.raises(Invalid) as refused:
        await fleet.world.gateway.ask(containers.CreateContainer(spec=alone))
    with pytest.raises(TooLarge) as larger:
        await fleet.world.gateway.ask(containers.CreateContainer(spec=together))

    assert [each.field for each in refused.value.errors] == ["env"]
    assert larger.value.code == "job.too-large"
    assert len(larger.value.errors) == 1


async def test_a_command_that_can_not_leave_is_its_own_jobs_end(fleet: Fleet) -> None:  # noqa: F811
    """Whoever makes room for it ends as always; the next in line begins, it is ordered to end."""
    running = [await fleet.world.create(f"web-{number}") for number in range(2)]
    too_large = await fleet.world.create("big")
    await _enlarge(fleet.world, too_large.job.id)
    behind = await fleet.world.create("behind")

    for each in running:
        await fleet.take(each.job.id, JobState.SUCCEEDED)

    assert {(await fleet.job(each.job.id)).state for each in running} == {JobState.SUCCEEDED}
    assert await _commands(fleet.world, too_large.job.id) == ["slipway.v1.command.provisioner.job.cancel"]
    assert await _commands(fleet.world, behind.job.id) == ["slipway.v1.command.provisioner.job.run"]


async def test_waiting_copies_hide_no_other_job_of_the_same_person(fleet: Fleet) -> None:  # noqa: F811
    """However many there are, what there is room for begins; positions are those of the fair order."""
    made = await fleet.job((await fleet.make(2)).job.id)
    source, other = (str(each.container) for each in made.items)
    copies = [await _ask(fleet, source, JobKind.CLONE, f"copy-{number}") for number in range(12)]

    started = await _ask(fleet, other, JobKind.START)

    assert await _commands(fleet.world, started) == ["slipway.v1.command.provisioner.job.run"]
    places = [(await fleet.job(copy)).position for copy in copies]
    assert places == [None, None, *range(10)]


async def _ask(fleet: Fleet, container: Id, kind: JobKind, hostname: str | None = None) -> Id:  # noqa: F811
    request = {"container": container, "kind": kind, "args": {"hostname": hostname}}
    return (await fleet.world.gateway.ask(jobs.RequestJob.model_validate(request))).job.id


async def _enlarge(world: World, job: Id) -> None:  # noqa: F811
    """Make a waiting job's command larger than the bus takes, as older versions let it be."""
    async with world.tables.begin() as connection:
        query = select(tables.jobs.c.command).where(tables.jobs.c.id == job)
        command = (await connection.scalars(query)).one()
        command["spec"]["env"] = {"A": "x" * 600_000}
        await connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(command=command))


async def _commands(world: World, job: Id) -> Sequence[str]:  # noqa: F811
    """Return the subjects of the commands about a job that are left for the bus."""
    async with world.tables.begin() as connection:
        query = "select subject, payload from outbox where subject like '%.command.%' order by id"
        rows = await connection.execute(text(query))
        return [row.subject for row in rows if json.loads(row.payload).get("job") == job]
