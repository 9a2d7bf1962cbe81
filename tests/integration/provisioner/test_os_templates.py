"""OS templates are downloaded by the node, once, whatever happens to the worker meanwhile."""

from slipway.contracts.job_kinds import JobKind, OsTemplateDownloadArgs
from slipway.contracts.jobs import RunJob, Target
from slipway.contracts.values import JobState
from slipway.lab import faults
from support.lab_client import NODE
from support.provisioner_side import CLUSTER, Ground, status_of
from support.waiting import until

ARCHIVE = "debian-13-standard_13.1-2_amd64.tar.zst"


async def download(ground: Ground, template: str = ARCHIVE, storage: str = "local") -> RunJob:
    """Order a download, as inventory would."""
    target = Target(
        container="j1", cluster=CLUSTER, cluster_name="home", node=NODE, vmid=0, hostname=template
    )
    args = OsTemplateDownloadArgs(node=NODE, template=template, storage=storage)
    return await ground.command(JobKind.OS_TEMPLATE_DOWNLOAD, target=target, args=args)


async def volumes(ground: Ground) -> set[str]:
    """Return the OS templates on the node."""
    return {each.volid for each in await ground.cluster.api.content(NODE, "local", kind="vztmpl")}


async def test_an_archive_is_downloaded_and_its_task_logged(ground: Ground) -> None:
    """The job has no container: nothing of one is looked for, and nothing is left of one."""
    record = await ground.run(await download(ground))

    assert (record.state, record.percent) == (JobState.SUCCEEDED, 100), record.error
    assert (record.exists_on_host, record.config) == (False, None)
    assert f"local:vztmpl/{ARCHIVE}" in await volumes(ground)
    assert "calculating checksum...OK, checksum verified" in await ground.lines()


async def test_a_download_goes_on_after_its_worker_was_killed(ground: Ground) -> None:
    """The next owner waits for the same task."""
    ground.lab.faults.order(faults.TaskHangs(task="download", seconds=3))
    command = await download(ground)
    killed = ground.begin(command)
    await ground.until_record("j1", lambda record: any("upid" in each.facts for each in record.steps))
    killed.cancel()

    record = await ground.run(command)

    assert record.state is JobState.SUCCEEDED, record.error
    assert len(await ground.cluster.api.tasks(NODE, typefilter="download")) == 1


async def test_a_cancel_stops_the_task(ground: Ground) -> None:
    """Nothing is there afterwards."""
    ground.lab.faults.order(faults.TaskHangs(task="download"))
    command = await download(ground)
    running = ground.begin(command)
    await ground.until_record("j1", lambda record: any("upid" in each.facts for each in record.steps))

    await ground.cancel(command)
    await running

    async def has_ended() -> bool:
        return not await ground.cluster.api.tasks(NODE, typefilter="download", source="active")

    await until(has_ended)
    assert (await ground.record()).state is JobState.CANCELLED
    assert f"local:vztmpl/{ARCHIVE}" not in await volumes(ground)


async def test_what_is_there_is_not_downloaded_again(ground: Ground) -> None:
    """No task is begun."""
    await ground.run(await download(ground))

    record = await ground.run((await download(ground)).model_copy(update={"job": "j2"}))

    assert record.state is JobState.SUCCEEDED
    assert len(await ground.cluster.api.tasks(NODE, typefilter="download")) == 1


async def test_what_the_node_does_not_offer_fails_with_what_to_do(ground: Ground) -> None:
    """Neither an archive that is not in its list, nor a storage for something else."""
    other = await ground.run(await download(ground, "no-such_1_amd64.tar.zst"))
    command = (await download(ground, storage="backup")).model_copy(update={"job": "j2"})
    elsewhere = await ground.run(command)

    errors = [record.error for record in (other, elsewhere) if record.error is not None]
    assert [each.code for each in errors] == ["os-template.not-downloadable"] * 2
    assert [each.errors[0].field for each in errors] == ["args.template", "args.storage"]
    assert "pveam update" in errors[0].message
    assert status_of(other, "os-template.task") is None
