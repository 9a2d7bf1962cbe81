"""What an admin sets for a cluster holds from the next request on, and reaches the provisioner."""

import pytest
from integration.inventory.test_clusters import World, world
from sqlalchemy import select, update

from slipway.contracts import audit, cluster_settings, clusters, jobs
from slipway.contracts.cluster_settings import DENIED, ClusterLimits, SiteDefaults
from slipway.contracts.job_kinds import CloneArgs, JobKind
from slipway.contracts.problems import Forbidden, Invalid
from slipway.contracts.values import Lifecycle
from slipway.inventory import tables

__all__ = ["world"]


async def access(world: World, cluster: str) -> clusters.ClusterAccess:
    """Return the access to a cluster, as the provisioner asks for it."""
    return await world.gateway.ask(clusters.GetClusterAccess(cluster=cluster, seal_to="provisioner"))


async def test_limits_go_with_the_access_and_end_with_the_cluster(world: World) -> None:
    """There is one truth about them; a cluster that comes back allows nothing."""
    home = await world.add()
    limits = ClusterLimits(restricted_keys=True, mount_paths=("/srv/media/",))
    before = (await access(world, home.id)).limits

    stored = await world.gateway.ask(cluster_settings.SetClusterLimits(cluster="home", limits=limits))

    assert before == DENIED
    assert stored.mount_paths == ("/srv/media",)
    assert (await access(world, home.id)).limits == stored
    assert await world.gateway.ask(cluster_settings.GetClusterLimits(cluster=home.id)) == stored
    (entry, *_) = (await world.gateway.ask(audit.ListAudit())).items
    assert (entry.action, entry.details["mount_paths"]) == ("cluster.limits", "/srv/media")
    await world.remove("home")
    assert (await access(world, (await world.add()).id)).limits == DENIED


async def test_a_copy_has_nothing_that_is_not_allowed_any_more(world: World) -> None:
    """Its source keeps it; a copy is a new container."""
    await world.add()
    accepted = await world.create("web")
    await world.end_jobs()
    containers = tables.containers
    async with world.tables.begin() as tx:
        spec = (await tx.execute(select(containers.c.spec))).scalar_one()
        values = {"spec": {**spec, "devices": ["/dev/net/tun"]}, "lifecycle": Lifecycle.READY}
        await tx.execute(update(containers).values(values))
    args = CloneArgs(hostname="copy")
    request = jobs.RequestJob(container=accepted.container.id, kind=JobKind.CLONE, args=args)

    with pytest.raises(Forbidden, match="devices") as refused:
        await world.gateway.ask(request)
    limits = ClusterLimits(restricted_keys=True)
    await world.gateway.ask(cluster_settings.SetClusterLimits(cluster="home", limits=limits))

    assert refused.value.code == "restricted-key.forbidden"
    assert (await world.gateway.ask(request)).container.hostname == "copy"


async def test_site_defaults_are_those_of_the_next_creation(world: World) -> None:
    """Its command holds them and says which they are; its row holds no certificate."""
    await world.add()
    site = SiteDefaults(bridge="vmbr0", vlan=7, timezone="Europe/Berlin", apt_mirror="http://mirror")
    await world.gateway.ask(cluster_settings.SetSiteDefaults(cluster="home", defaults=site))

    accepted = await world.create("web")

    async with world.tables.begin() as tx:
        row = (await tx.execute(tables.jobs.select())).one()
    command = jobs.RunJob.model_validate(row.command)
    assert (command.spec.timezone, command.spec.networks[0].tag) == ("Europe/Berlin", 7)
    assert set(command.site_defaults) == {
        "networks.0.bridge",
        "networks.0.tag",
        "timezone",
        "guest.apt_mirror",
    }
    container = await world.container(accepted)
    assert container.spec.guest is not None
    assert container.spec.guest.apt_mirror == "http://mirror"


async def test_wrong_defaults_change_nothing(world: World) -> None:
    """All faults come together; what was set stays."""
    await world.add()
    right = SiteDefaults(storage="local-lvm")
    await world.gateway.ask(cluster_settings.SetSiteDefaults(cluster="home", defaults=right))

    wrong = SiteDefaults(storage="nowhere", http_proxy="http://me:pass@proxy:1")
    with pytest.raises(Invalid) as refused:
        await world.gateway.ask(cluster_settings.SetSiteDefaults(cluster="home", defaults=wrong))

    assert sorted(each.field for each in refused.value.errors) == ["http_proxy", "storage"]
    assert await world.gateway.ask(cluster_settings.GetSiteDefaults(cluster="home")) == right
