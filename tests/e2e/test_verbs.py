"""The command line's verbs, as they are typed."""

import asyncio
import sys

import httpx
import pytest

from support.stack import RunningStack, create, story


@pytest.mark.timeout(300)  # a dozen processes, one after the other
async def test_a_container_is_changed_by_verbs(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Each verb finds the container by name or VMID, follows its job, and says by its status how it ended."""
    accepted = await create(api, template="debian-base", hostname="typed")
    await story(api, accepted["job"]["id"])
    vmid = str(accepted["container"]["vmid"])

    told = await slipway(stack, "delete", "typed", "--plan")
    stopped = await slipway(stack, "stop", "typed")
    resized = await slipway(stack, "resize", vmid, "--memory", "768")
    taken = await slipway(stack, "snapshot", "typed", "before")
    kept = await slipway(stack, "snapshots", "typed")
    saved = await slipway(stack, "backups", vmid)
    present = await slipway(stack, "forget", "typed")
    marked = await slipway(stack, "configure", "typed", "--tags", "a,b", "--onboot", "yes")
    started = await slipway(stack, "start", "typed")
    missing = await slipway(stack, "rollback", "typed", "nothing")
    nobody = await slipway(stack, "start", "nobody")
    found = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()["spec"]

    assert [each[0] for each in (stopped, resized, taken, marked, started)] == [0, 0, 0, 0, 0], stopped[1]
    assert (found["memory"], found["tags"], found["onboot"]) == (768, ["a", "b"], True)
    assert (kept[0], "before" in kept[1]) == (0, True), kept[1]
    assert saved[0] == 0, saved[1]
    assert (present[0], "container.present" in present[1]) == (1, True), present[1]
    assert told[0] == 0
    assert "LOST: container" in told[1]
    assert missing[0] == 1
    assert "There is no snapshot 'nothing'" in missing[1]
    assert nobody[0] == 1
    assert "container.not-found" in nobody[1]


async def test_cancel(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """`cancel` ends a waiting job and follows it to its end."""
    await api.put("/api/v1/clusters/lab/nodes/lab/maintenance")
    try:
        job = (await create(api, template="debian-base", hostname="never-made"))["job"]["id"]
        status, said = await slipway(stack, "cancel", job)
        again, why = await slipway(stack, "cancel", job)
    finally:
        await api.delete("/api/v1/clusters/lab/nodes/lab/maintenance")

    assert (status, again) == (0, 1), said
    assert "job.ended" in why


async def test_deleted_while_it_is_made(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """`delete --cancel` ends a creation, and what it made is gone; that is what was wished for."""
    accepted = await create(api, template="counting", hostname="unwanted")

    status, said = await slipway(stack, "delete", "unwanted", "--cancel")

    assert status == 0, said
    found = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()
    assert found["lifecycle"] == "deleted"


async def slipway(stack: RunningStack, *arguments: str) -> tuple[int, str]:
    """Run the command line; its exit status, and what it wrote."""
    command = (sys.executable, "-m", "slipway.cli", *arguments, "--data", str(stack.data))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode()
