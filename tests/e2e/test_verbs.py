"""The command line's verbs, as they are typed."""

import httpx
import pytest

from support.command_line import slipway
from support.stack import RunningStack, create, job_events


@pytest.mark.timeout(300)  # a dozen processes, one after the other
async def test_a_container_is_changed_by_verbs(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Each verb finds the container by name or VMID, follows its job, and says by its status how it ended."""
    accepted = await create(api, template="debian-base", hostname="typed")
    await job_events(api, accepted["job"]["id"])
    vmid = str(accepted["container"]["vmid"])

    plan = await slipway(stack, "delete", "typed", "--plan")
    stopped = await slipway(stack, "stop", "typed")
    resized = await slipway(stack, "resize", vmid, "--memory", "768")
    taken = await slipway(stack, "snapshot", "typed", "before")
    stored = await slipway(stack, "snapshots", "typed")
    saved = await slipway(stack, "backups", vmid)
    present = await slipway(stack, "forget", "typed")
    marked = await slipway(stack, "configure", "typed", "--tags", "a,b", "--onboot", "yes")
    searched = await slipway(stack, "ls", "tag:a,c", "tag:b", "typed -tag:c", "-o", "name")
    mistyped = await slipway(stack, "jobs", "run", "start", "tag:a", "tga:b")
    started = await slipway(stack, "jobs", "run", "start", "tag:a", "name:typed -tag:c")
    missing = await slipway(stack, "rollback", "typed", "nothing", "--yes")
    nobody = await slipway(stack, "start", "nobody")
    spec = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()["spec"]

    assert [each[0] for each in (stopped, resized, taken, marked, started)] == [0, 0, 0, 0, 0], stopped[1]
    assert (spec["memory"], spec["tags"], spec["onboot"]) == (768, ["a", "b"], True)
    assert (stored[0], "before" in stored[1]) == (0, True), stored[1]
    assert saved[0] == 0, saved[1]
    assert (present[0], "container.present" in present[1]) == (1, True), present[1]
    assert searched == (0, "typed\n")
    assert mistyped[0] == 1
    assert "At character 7: there is no word 'tga'. Did you mean 'tag'?" in mistyped[1]
    assert plan[0] == 0
    assert "LOST: container" in plan[1]
    assert missing[0] == 1
    assert "There is no snapshot 'nothing'" in missing[1]
    assert nobody[0] == 1
    assert "container.not-found" in nobody[1]


async def test_cancel(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """`cancel` ends a waiting job and follows it to its end."""
    await api.put("/api/v1/clusters/lab/nodes/lab/maintenance")
    try:
        job = (await create(api, template="debian-base", hostname="never-made"))["job"]["id"]
        status, output = await slipway(stack, "cancel", job)
        again, why = await slipway(stack, "cancel", job)
    finally:
        await api.delete("/api/v1/clusters/lab/nodes/lab/maintenance")

    assert (status, again) == (0, 1), output
    assert "job.ended" in why


async def test_deleted_while_it_is_made(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """`delete --cancel` ends a creation, and what it made is gone; that is what was wished for."""
    accepted = await create(api, template="counting", hostname="unwanted")

    status, output = await slipway(stack, "delete", "unwanted", "--cancel", "--yes")

    assert status == 0, output
    container = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()
    assert container["lifecycle"] == "deleted"


async def test_asked_before_something_is_lost(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """In a terminal what destroys is shown and asked for; a no changes nothing, `--yes` goes on."""
    accepted = await create(api, template="debian-base", hostname="precious")
    await job_events(api, accepted["job"]["id"])
    path = f"/api/v1/containers/{accepted['container']['id']}"

    refused = await slipway(stack, "delete", "precious", typed="n\n")
    stored = (await api.get(path)).json()["lifecycle"]
    agreed = await slipway(stack, "delete", "precious", "--yes", typed="")
    newest = await slipway(stack, "jobs", "--limit", "1")

    assert (refused[0], stored) == (1, "ready"), refused[1]
    assert "Do it? [y/N]" in refused[1]
    assert "LOST: container" in refused[1]
    assert agreed[0] == 0, agreed[1]
    header, row = newest[1].splitlines()
    assert header.split("\t")[0] == "kind"
    assert row.split("\t")[:3] == ["container.delete", "precious", "succeeded"]


async def test_failure_is_explained(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """A failed job is shown with its step and what can be done now; a retry of it can be planned."""
    accepted = await create(api, template="failing", hostname="explained")
    await job_events(api, accepted["job"]["id"])
    job = accepted["job"]["id"]

    result = await slipway(stack, "follow", job)
    planned = await slipway(stack, "retry", job, "--plan", "--phase", "deploy")
    unknown = await slipway(stack, "retry", job, "--phase", "sometime")

    assert result[0] == 1
    assert "step: sync" in result[1]
    assert f"now possible: slipway retry {job}" in result[1]
    assert (planned[0], "deploy" in planned[1]) == (0, True), planned[1]
    assert unknown[0] == 2
