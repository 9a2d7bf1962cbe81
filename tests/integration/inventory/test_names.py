"""A name is one container's: also while a job is giving it, and when an old job is done again."""

import pytest
from integration.inventory.test_acceptance import World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture
from sqlalchemy import update

from slipway.contracts import containers, jobs
from slipway.contracts.configs import HostConfig
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict
from slipway.contracts.values import JobState
from slipway.inventory import tables
from slipway.runtime.process.clock import now


async def test_a_name_that_is_being_given_is_taken(fleet: Fleet) -> None:  # noqa: F811
    """For another rename, a creation and a copy, whatever its case; not once the job has failed."""
    one, two = await _two(fleet)
    rename = await _rename(fleet, one, "new")

    with pytest.raises(Conflict) as renamed:
        await _rename(fleet, two, "NEW")
    with pytest.raises(Conflict) as created:
        await fleet.world.create("New")
    with pytest.raises(Conflict) as copied:
        await _ask(fleet, two, JobKind.CLONE, "new")

    codes = {refused.value.code for refused in (renamed, created, copied)}
    assert codes == {"hostname.taken"}
    await fleet.take(rename, JobState.FAILED)
    await _rename(fleet, two, "NEW")


async def test_names_of_many_pass_over_one_that_is_being_given(fleet: Fleet) -> None:  # noqa: F811
    """A batch of new containers takes the next ones."""
    one, _ = await _two(fleet)
    await _rename(fleet, one, "web-3")

    accepted = await fleet.create(2)

    names = [each.hostname for each in (await fleet.job(accepted.job.id)).items]
    assert names == ["web-4", "web-5"]


async def test_a_rename_is_not_done_again_once_the_name_is_anothers(fleet: Fleet) -> None:  # noqa: F811
    """Its second try is refused like the first one would be."""
    one, _ = await _two(fleet)
    rename = await _rename(fleet, one, "new")
    await fleet.take(rename, JobState.FAILED)
    await fleet.world.create("new")

    with pytest.raises(Conflict) as refused:
        await fleet.world.gateway.ask(jobs.RetryJob(job=rename))

    assert refused.value.code == "hostname.taken"


async def test_a_rename_ends_even_if_the_name_is_anothers_by_now(fleet: Fleet) -> None:  # noqa: F811
    """The container keeps its old name here, and a warning says why."""
    one, two = await _two(fleet)
    rename = await _rename(fleet, one, "new")
    async with fleet.world.tables.begin() as connection:
        other = update(tables.containers).where(tables.containers.c.id == two)
        await connection.execute(other.values(hostname="new"))

    config = HostConfig(read_at=now(), hostname="new")
    await fleet.take(rename, JobState.SUCCEEDED, config=config)

    assert (await fleet.job(rename)).state is JobState.SUCCEEDED
    container = await fleet.world.gateway.ask(containers.GetContainer(container=one))
    assert (container.hostname, container.spec.hostname, container.warnings) == (
        "web-1",
        "web-1",
        ("hostname-taken",),
    )


async def _two(fleet: Fleet) -> list[Id]:  # noqa: F811
    """Make two containers, `web-1` and `web-2`."""
    made = await fleet.job((await fleet.make(2)).job.id)
    return [str(each.container) for each in made.items]


async def _rename(fleet: Fleet, container: Id, hostname: str) -> Id:  # noqa: F811
    return await _ask(fleet, container, JobKind.CONFIGURE, hostname)


async def _ask(fleet: Fleet, container: Id, kind: JobKind, hostname: str) -> Id:  # noqa: F811
    request = {"container": container, "kind": kind, "args": {"hostname": hostname}}
    return (await fleet.world.gateway.ask(jobs.RequestJob.model_validate(request))).job.id
