"""The page and the command line show what is so now, and offer no way to what is not there."""

import re
import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
from chaos.host import Host
from playwright.async_api import expect

from slipway.lab.faults import TaskFails
from support.browser import Browsing
from support.command_line import slipway
from support.stack import RunningStack, create, done, job_events

pytestmark = [pytest.mark.browser, pytest.mark.slow]

JOB_MS = 90_000


@pytest.fixture
async def host(stack: RunningStack) -> AsyncIterator[Host]:
    """The lab, whose faults end with the test."""
    host = Host(stack.data)
    yield host
    await host.clear()
    await host.aclose()


async def test_links_of_what_is_stopped(
    signed_in: Browsing, stack: RunningStack, api: httpx.AsyncClient
) -> None:
    """They are links as long as the container runs; afterwards it is said what listened."""
    page, name = signed_in.page, f"linked-{secrets.token_hex(3)}"
    accepted = await create(api, template="nginx-site", hostname=name)
    await job_events(api, accepted["job"]["id"])
    container = accepted["container"]["id"]
    row = page.locator("tr", has=page.get_by_role("link", name=name))
    link = page.get_by_role("link", name="http://")
    await page.goto("/#/containers")
    await expect(row.get_by_role("link", name="http://")).to_be_visible()
    running = await slipway(stack, "show", name)

    await done(api, f"containers/{container}/stop")

    await expect(row.get_by_role("link", name="http://")).to_have_count(0)
    await page.goto(f"/#/containers/{container}")
    await expect(page.get_by_text("It does not run now")).to_be_visible()
    await expect(link).to_have_count(0)
    stopped = await slipway(stack, "show", name)
    assert (running[0], "http://" in running[1]) == (0, True), running[1]
    assert (stopped[0], "http://" in stopped[1]) == (0, False), stopped[1]
    assert "not reachable: the container does not run now" in stopped[1]
    assert signed_in.complaints == []


async def test_clusters_are_shown(signed_in: Browsing, stack: RunningStack) -> None:
    """With their nodes, and what these have; in a terminal as well."""
    page = signed_in.page
    await page.get_by_role("navigation").get_by_role("link", name="Clusters").click()

    row = page.get_by_role("row", name=re.compile("^lab "))
    await expect(row).to_contain_text("online")
    await expect(row).to_contain_text("local-lvm: ")
    status, output = await slipway(stack, "clusters")
    assert (status, output.splitlines()[0].split("\t")[:3]) == (0, ["cluster", "node", "state"]), output
    assert output.splitlines()[1].split("\t")[:3] == ["lab", "lab", "online"]
    assert signed_in.complaints == []


async def test_a_retry_of_what_destroys_is_shown(
    signed_in: Browsing, host: Host, api: httpx.AsyncClient
) -> None:
    """As the first one: with what would be lost, and nothing is done if one leaves it."""
    page, name = signed_in.page, f"twice-{secrets.token_hex(3)}"
    accepted = await create(api, template="debian-base", hostname=name)
    await job_events(api, accepted["job"]["id"])
    path = f"containers/{accepted['container']['id']}"
    await done(api, f"{path}/snapshot", {"snapshot": "before"})
    await host.order(TaskFails(task="vzrollback"))
    failed = await api.post(f"/api/v1/{path}/rollback", json={"snapshot": "before"})
    job = failed.json()["job"]["id"]
    await job_events(api, job)
    await page.goto(f"/#/jobs/{job}")

    await page.get_by_role("button", name="Retry").click(timeout=JOB_MS)

    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"all that happened in container {accepted['container']['vmid']}")
    await dialog.get_by_role("button", name="Leave it").click()
    newest = (await api.get("/api/v1/jobs", params={"limit": 1})).json()["items"][0]
    assert newest["id"] == job
    assert signed_in.complaints == []
