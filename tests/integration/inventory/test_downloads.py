"""A download of an OS template is a job on a node: accepted once, read, ended and done again."""

import pytest
from integration.inventory.test_acceptance import NODE, World, world  # noqa: F401  a fixture
from integration.inventory.test_batches import Fleet, fleet  # noqa: F401  a fixture

from slipway.contracts.audit import ListAudit
from slipway.contracts.cluster_facts import StorageFact
from slipway.contracts.clusters import GetCluster
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import CreateContainer
from slipway.contracts.form_facts import DownloadAccepted, DownloadOsTemplate
from slipway.contracts.job_kinds import OsTemplateDownloadArgs
from slipway.contracts.jobs import RequestCancel, RetryJob
from slipway.contracts.problems import Conflict, Invalid
from slipway.contracts.values import JobState
from slipway.runtime.process.clock import now

ARCHIVE = "alpine-3.22-default_20250617_amd64.tar.xz"
LOCAL = StorageFact(name="local", type="dir", content=("vztmpl", "rootdir"))


@pytest.fixture
async def offering(fleet: Fleet) -> Fleet:  # noqa: F811
    """A fleet whose node offers an archive."""
    cluster = await fleet.world.gateway.ask(GetCluster(cluster="home"))
    offers = {"appliances": (ARCHIVE,), "storages": (*NODE.storages, LOCAL), "observed_at": now()}
    await fleet.observe(cluster.id, NODE.model_copy(update=offers))
    return fleet


async def request(fleet: Fleet, **changes: str) -> DownloadAccepted:  # noqa: F811
    """Ask for the archive."""
    query = {"cluster": "home", "template": "alpine-3.22", **changes}
    return await fleet.world.gateway.ask(DownloadOsTemplate.model_validate(query))


async def test_a_download_is_a_job_without_a_container(offering: Fleet) -> None:
    """It names its cluster and what it is about, and stands in the audit with its node."""
    accepted = await request(offering)

    job = await offering.job(accepted.job.id)
    await offering.take(job.id, JobState.SUCCEEDED, exists=False)
    ended = await offering.job(job.id)
    entries = (await offering.world.gateway.ask(ListAudit())).items
    assert accepted.volume == f"local:vztmpl/{ARCHIVE}"
    assert (job.container, job.hostname, job.cluster, job.actions) == (None, None, "home", ("cancel",))
    assert job.args == OsTemplateDownloadArgs(node=NODE.node, template=ARCHIVE, storage="local")
    assert (ended.state, ended.actions) == (JobState.SUCCEEDED, ())
    assert ("os-template.download", f"home/{NODE.node}") in {(each.action, each.target) for each in entries}


async def test_the_same_download_is_not_begun_beside_itself(offering: Fleet) -> None:
    """The refusal names the job; after a failure it is done again by its retry, and can be cancelled."""
    first = await request(offering)
    with pytest.raises(Conflict) as refused:
        await request(offering)
    await offering.take(first.job.id, JobState.FAILED, exists=False)

    again = await offering.world.gateway.ask(RetryJob(job=first.job.id))
    await offering.world.gateway.ask(RequestCancel(job=again.job.id))

    job = await offering.job(again.job.id)
    assert refused.value.details == {"job": first.job.id}
    assert (job.retry_of, job.args) == (first.job.id, (await offering.job(first.job.id)).args)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"template": "nope"}, "template"), ({"node": "nope"}, "node"), ({"storage": "local-lvm"}, "storage")],
)
async def test_what_is_not_there_is_refused(offering: Fleet, changes: dict[str, str], field: str) -> None:
    """With what there is."""
    with pytest.raises(Invalid) as refused:
        await request(offering, **changes)

    assert refused.value.errors[0].field == field


async def test_a_creation_names_the_command_for_an_archive_that_can_be_downloaded(offering: Fleet) -> None:
    """A volume that is not there yet is refused with it."""
    spec = ContainerSpec(hostname="web", ostemplate=f"local:vztmpl/{ARCHIVE}")

    with pytest.raises(Invalid) as refused:
        await offering.world.gateway.ask(CreateContainer(spec=spec))

    command = f"slipway os-template download {ARCHIVE} --node {NODE.node} --storage local"
    assert command in refused.value.message
