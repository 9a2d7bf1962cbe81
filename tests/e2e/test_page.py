"""The page, used by its labels and words as people use it, in a real Chromium."""

import os
import re
import secrets
import signal

import httpx
import pytest
from playwright.async_api import Page, Request, Route, expect

from support.browser import Browsing, ask_for, sign_in
from support.stack import RunningStack

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CREATION_MS = 90_000
MOST_LOADS = 6
"""The first, and how often a page that lacks a part comes again."""
LOADS_MS = 30_000
"""For all of them, with the pauses in between: half a second each."""


async def test_wrong_secret(visit: Browsing) -> None:
    """A wrong secret is refused in words, and one is still asked for it."""
    await sign_in(visit.page, "wrong")

    await expect(visit.page.get_by_text("That is not the secret")).to_have_count(1)
    await expect(visit.page.get_by_role("alert")).to_contain_text("secret That is not the secret")
    await expect(visit.page.get_by_label("Secret")).to_be_focused()


@pytest.mark.parametrize(
    ("losses", "loaded", "text"),
    [(1, 2, "Secret"), (100, MOST_LOADS, "A part of this page did not arrive")],
    ids=["once", "always"],
)
async def test_part_that_did_not_arrive(visit: Browsing, losses: int, loaded: int, text: str) -> None:
    """A page without one of its parts comes again by itself, and says so when that does not help.

    Pages are counted, not the part: where containers start, any part may get lost as well, and this page
    may have come again before.
    """
    loads: list[str] = []
    lost: list[str] = []

    async def lose(route: Route) -> None:
        lost.append(route.request.url)
        await (route.abort() if len(lost) <= losses else route.continue_())

    def note(request: Request) -> None:
        if request.is_navigation_request():
            loads.append(request.url)

    await visit.page.evaluate("sessionStorage.clear()")
    await visit.page.route("**/assets/timeline.js", lose)
    visit.page.on("request", note)
    await visit.page.reload()

    await expect(visit.page.get_by_text(text)).to_be_visible(timeout=LOADS_MS)
    assert loaded <= len(loads) <= MOST_LOADS


async def test_creation_followed(signed_in: Browsing) -> None:
    """A creation from a template is followed through five phases and its log, to its URL and its password."""
    page = signed_in.page
    name = f"page-{secrets.token_hex(3)}"

    await ask_for(page, "nginx-site", name)

    await expect(page.locator("[data-phase][data-status=finished]")).to_have_count(5, timeout=CREATION_MS)
    await expect(page.get_by_role("heading", name=f"{name} is ready")).to_be_visible()
    await expect(page.get_by_text("100 %")).to_be_visible()
    await expect(page.locator(".log-line").first).to_be_attached()
    await expect(page.locator(".result a[href^=http]").first).to_be_visible()
    assert len(await _revealed(page, "root/password")) > 8
    assert signed_in.complaints == []


async def test_batch_followed(signed_in: Browsing, api: httpx.AsyncClient) -> None:
    """A batch shows each of its items with its state, live, and leads to the item's job."""
    page = signed_in.page
    name = f"several-{secrets.token_hex(3)}"
    body = {"hostname": name, "template": "debian-base", "count": 2}
    accepted = (await api.post("/api/v1/containers", json=body)).json()

    await page.goto(f"/#/jobs/{accepted['job']['id']}")

    await expect(page.get_by_role("heading", name="Create 2 containers")).to_be_visible()
    await expect(page.locator("tr[data-state=succeeded]")).to_have_count(2, timeout=CREATION_MS)
    await expect(page.get_by_text("100 %")).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    await page.get_by_role("link", name=f"{name}-2").click()
    await expect(page.get_by_role("heading", name=f"Create {name}-2")).to_be_visible()
    await page.get_by_role("link", name="a batch").click()
    await expect(page.get_by_role("link", name=f"{name}-1")).to_be_visible()
    assert signed_in.complaints == []


async def test_container_stored_and_deleted(signed_in: Browsing) -> None:
    """A new container stands in the list, and is deleted only once its name was typed."""
    page = signed_in.page
    name = f"gone-{secrets.token_hex(3)}"
    await ask_for(page, "debian-base", name)
    await expect(page.get_by_role("heading", name=f"{name} is ready")).to_be_visible(timeout=CREATION_MS)
    await page.goto("/#/containers")
    await page.get_by_role("link", name=name).click()
    await page.get_by_role("button", name="Delete").click()
    sure = page.get_by_role("button", name="Delete for good")
    await expect(sure).to_be_disabled()

    await page.get_by_label(f"Type {name} to go on").fill(name)
    await sure.click()

    await expect(page.get_by_role("heading", name=f"{name} is deleted")).to_be_visible(timeout=CREATION_MS)
    await page.goto("/#/containers")
    await expect(page.get_by_role("link", name=name)).to_have_count(0)
    assert signed_in.complaints == []


async def test_gateway_killed(signed_in: Browsing, stack: RunningStack) -> None:
    """A page whose gateway is killed goes on by itself, and shows every line of the log once."""
    page = signed_in.page
    name = f"stored-{secrets.token_hex(3)}"
    await ask_for(page, "nginx-site", name)
    await expect(page.locator("[data-phase=create][data-status=finished]")).to_be_visible()

    os.kill(stack.endpoints["pids"]["gateway"], signal.SIGKILL)

    await expect(page.get_by_role("heading", name=f"{name} is ready")).to_be_visible(timeout=CREATION_MS)
    await expect(page.locator("[data-phase][data-status=finished]")).to_have_count(5)
    await expect(page.locator(".log-line", has_text="nginx serves the page")).to_have_count(1)


async def test_wrong_input_beside_its_field(signed_in: Browsing) -> None:
    """A refused hostname is explained at its input."""
    page = signed_in.page
    await page.goto("/#/new")
    hostname = page.get_by_label("Hostname")
    await hostname.fill("not_a_hostname")

    await page.get_by_role("button", name="Create container").click()

    await expect(hostname).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("#field-hostname-error")).not_to_be_empty()


async def test_signed_out(signed_in: Browsing) -> None:
    """After signing out the page asks for the secret again, also when it is opened anew."""
    await signed_in.page.get_by_role("button", name="Sign out").click()
    await expect(signed_in.page.get_by_label("Secret")).to_be_visible()

    await signed_in.page.reload()

    await expect(signed_in.page.get_by_label("Secret")).to_be_visible()


async def _revealed(page: Page, credential: str) -> str:
    await page.get_by_role("button", name=f"Reveal {credential}").click()
    await expect(page.get_by_role("button", name=f"Copy {credential}")).to_be_visible()
    row = page.locator("li", has_text=credential)
    return await row.locator(".secret").inner_text()


async def test_power_and_cancel(signed_in: Browsing) -> None:
    """Its buttons stop a container, once that is confirmed, and start it, and its page shows these jobs.

    A running creation is cancelled by its own.
    """
    page = signed_in.page
    name = f"power-{secrets.token_hex(3)}"
    await ask_for(page, "debian-base", name)
    await expect(page.get_by_role("heading", name=f"{name} is ready")).to_be_visible(timeout=CREATION_MS)
    await page.get_by_role("link", name="Open").click()
    await expect(page.get_by_role("heading", name="Facts")).to_be_visible()
    address = page.url
    stop, plan = page.get_by_role("button", name="Stop", exact=True), page.get_by_role("dialog")
    await stop.click()
    await plan.get_by_role("button", name="Leave it").click()
    await stop.click()
    await expect(plan).to_contain_text("It is stopped at once")
    await plan.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("heading", name=f"Stop {name}: done")).to_be_visible(timeout=CREATION_MS)
    await page.get_by_role("button", name="Start", exact=True).click(timeout=CREATION_MS)
    await expect(page.get_by_role("heading", name=f"Start {name}: done")).to_be_visible(timeout=CREATION_MS)
    assert page.url == address
    # The creation, one stop and the start: what was left was not done.
    await expect(page.get_by_role("link", name="Stop", exact=True)).to_have_count(1)

    other = f"cancel-{secrets.token_hex(3)}"
    await ask_for(page, "counting", other)
    await page.get_by_role("button", name="Cancel", exact=True).click()

    await expect(page.get_by_text("The job was cancelled before it was done.")).to_be_visible(
        timeout=CREATION_MS
    )
    assert signed_in.complaints == []


async def test_creation_undone(signed_in: Browsing, api: httpx.AsyncClient) -> None:
    """A creation is ended and what it made is removed, by one button; the name is free."""
    page = signed_in.page
    name = f"undone-{secrets.token_hex(3)}"
    await ask_for(page, "counting", name)
    (made,) = (await api.get("/api/v1/containers", params={"q": name})).json()["items"]
    await page.get_by_role("button", name="Cancel and delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel and delete").click()

    await expect(page.get_by_text("The job was cancelled before it was done.")).to_be_visible(
        timeout=CREATION_MS
    )
    assert (await api.get(f"/api/v1/containers/{made['id']}")).json()["lifecycle"] == "deleted"
    assert signed_in.complaints == []


async def test_forgotten_from_the_page(
    signed_in: Browsing, api: httpx.AsyncClient, stack: RunningStack
) -> None:
    """While Proxmox is away a deletion says so, and offers to drop the record; seen again, it is back."""
    page = signed_in.page
    name = f"lost-{secrets.token_hex(3)}"
    await ask_for(page, "debian-base", name)
    await expect(page.get_by_role("heading", name=f"{name} is ready")).to_be_visible(timeout=CREATION_MS)
    await page.get_by_role("link", name="Open").click()
    pid = stack.endpoints["pids"]["lab"]
    os.kill(pid, signal.SIGSTOP)
    try:
        await page.get_by_role("button", name="Delete").click()
        await page.get_by_label(f"Type {name} to go on").fill(name)
        await page.get_by_role("button", name="Delete for good").click()
        await page.get_by_role("button", name="Forget it").click()
        await expect(page).to_have_url(re.compile("#/containers$"))
        await expect(page.get_by_text(name)).to_be_hidden()
    finally:
        os.kill(pid, signal.SIGCONT)
    await expect(page.get_by_role("link", name=name)).to_be_visible(timeout=CREATION_MS)
    # The browser itself notes the 503.
    assert [each for each in signed_in.complaints if "503" not in each] == []
