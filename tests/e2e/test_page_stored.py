"""What the page must not lose: what went wrong, what was typed, what happens unseen, the place in a list."""

import asyncio
import re
import secrets
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, Route, expect

from support.browser import Browsing, ask_for, sign_in
from support.stack import RunningStack, done, job_events
from support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CREATION_MS = 90_000
JOB_PATHS = re.compile(r"/api/v1/jobs\?")


@pytest.fixture
def container(ready: dict[str, Any]) -> str:
    """The id of a container that runs: to start it is a job that is done at once."""
    return str(ready["id"])


@pytest.fixture
async def hidden(signed_in: Browsing) -> Page:
    """The page, which believes what `_turn` reports to it: a headless browser hides none."""
    await signed_in.page.evaluate(
        "Object.defineProperty(document, 'hidden', { get: () => document.body.dataset.hidden === 'yes' })"
    )
    return signed_in.page


async def test_failure_explained(signed_in: Browsing, api: httpx.AsyncClient) -> None:
    """A failed job shows its step, script, exit code and last lines, and the acts that it names itself."""
    page = signed_in.page
    name = f"broken-{secrets.token_hex(3)}"
    await ask_for(page, "failing", name)

    await expect(page.get_by_role("heading", name="Where it ended")).to_be_visible(timeout=CREATION_MS)

    for term, text in (("Step", "sync.script.1"), ("Script", "20-second.sh"), ("Exit code", "3")):
        fact = page.locator(".facts div", has=page.get_by_text(term, exact=True))
        await expect(fact.locator("dd")).to_contain_text(text)
    await expect(page.get_by_role("region", name="Last lines")).to_contain_text("not this time")
    job = (await api.get(f"/api/v1/jobs/{page.url.rpartition('/')[2]}")).json()
    buttons = page.locator(".outcome-actions button")
    await expect(buttons).to_have_text([each.capitalize() for each in job["actions"]])
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_role("heading", name=f"{name} is ready")).to_be_visible(timeout=CREATION_MS)
    assert signed_in.complaints == []


async def test_skip_link(signed_in: Browsing) -> None:
    """To skip to the content keeps the view and what was typed into it."""
    page = signed_in.page
    await page.goto("/#/new")
    await page.get_by_label("Hostname").fill("half-typed")

    await page.get_by_role("link", name="Skip to content").press("Enter")

    await expect(page.locator("#main")).to_be_focused()
    await expect(page.get_by_label("Hostname")).to_have_value("half-typed")


async def test_session_ended(signed_in: Browsing, stack: RunningStack) -> None:
    """Who is signed out while creating signs in over the form, which is still filled in, and goes on."""
    page = signed_in.page
    name = f"again-{secrets.token_hex(3)}"
    await page.goto("/#/new")
    await page.get_by_role("radio", name=re.compile("debian-base")).check()
    await page.get_by_label("Hostname").fill(name)
    await page.context.clear_cookies()
    await page.get_by_role("button", name="Create container").click()
    dialog = page.get_by_role("dialog", name="Your session has ended")
    await page.keyboard.press("Escape")

    await sign_in(page, stack.token)

    await expect(dialog).to_have_count(0)
    await expect(page.get_by_label("Hostname")).to_have_value(name)
    await page.get_by_role("button", name="Create container").click()
    await expect(page.get_by_role("heading", name=f"Create {name}")).to_be_visible()


async def test_another_template(signed_in: Browsing) -> None:
    """What was typed for a template's variables is there again after a look at another one."""
    page = signed_in.page
    await page.goto("/#/new")
    await page.get_by_role("radio", name=re.compile("nginx-site")).check()
    await page.get_by_label("Title").fill("Typed once")
    await page.get_by_text("Size and password").click()
    await page.get_by_label("Cores").fill("3")

    await page.get_by_role("radio", name=re.compile("postgresql")).check()
    await page.get_by_role("radio", name=re.compile("nginx-site")).check()

    await expect(page.get_by_label("Title")).to_have_value("Typed once")
    await expect(page.get_by_label("Cores")).to_have_value("3")


async def test_no_number(signed_in: Browsing, api: httpx.AsyncClient) -> None:
    """What is no number is refused at its field; the default is not built instead."""
    page = signed_in.page
    name = f"number-{secrets.token_hex(3)}"
    await page.goto("/#/new")
    await page.get_by_label("Hostname").fill(name)
    await page.get_by_text("Size and password").click()
    cores = page.get_by_label("Cores")
    await cores.press_sequentially("4e")

    await page.get_by_role("button", name="Create container").click()

    await expect(cores).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("#field-cores-error")).to_contain_text("not a number")
    await expect(cores).to_be_focused()
    assert (await api.get("/api/v1/containers", params={"q": name})).json()["items"] == []


async def test_job_while_hidden(hidden: Page, api: httpx.AsyncClient, stack: RunningStack) -> None:
    """A hidden job page holds no connection; seen again it has every line of the log once, in order."""
    await ask_for(hidden, "counting", f"unseen-{secrets.token_hex(3)}")
    await expect(hidden.get_by_text("number 1", exact=True)).to_be_attached(timeout=CREATION_MS)
    before = await _viewers(stack)
    await _turn(hidden, "yes")
    await _until_viewers(stack, before - 1)
    job = hidden.url.rpartition("/")[2]
    assert (await api.get(f"/api/v1/jobs/{job}")).json()["state"] == "running"
    await job_events(api, job)

    await _turn(hidden, "no")

    await expect(hidden.get_by_text("100 %")).to_be_visible(timeout=CREATION_MS)
    lines = await hidden.locator(".log-line").all_inner_texts()
    assert [each for each in lines if each.startswith("number ")] == [f"number {n}" for n in range(1, 2001)]


async def test_focus_stored_in_list(signed_in: Browsing, api: httpx.AsyncClient, container: str) -> None:
    """What happens meanwhile leaves the focus where it is in a list."""
    page = signed_in.page
    await page.goto("/#/jobs")
    rows = page.locator("tbody tr")
    first = rows.first.get_by_role("link")
    await first.focus()
    focused = page.locator(f"a[href='{await first.get_attribute('href')}']")

    ended = await done(api, f"containers/{container}/start")

    link = page.locator(f"a[href='#/jobs/{ended[-1].content['id']}']")
    await expect(rows.filter(has=link)).to_contain_text("succeeded")
    await expect(focused).to_be_focused()
    assert signed_in.complaints == []


async def test_failed_load(signed_in: Browsing, api: httpx.AsyncClient, container: str) -> None:
    """A list that can't be loaded says so above what was known, and is asked for again; it ends by itself."""
    page = signed_in.page
    await page.goto("/#/jobs")
    await expect(page.locator("tbody tr").first).to_be_visible()
    await page.route(JOB_PATHS, lambda route: route.abort())

    await done(api, f"containers/{container}/start")

    await expect(page.get_by_role("alert")).to_contain_text("can't be reached")
    await expect(page.locator("tbody tr").first).to_be_visible()
    async with page.expect_request(JOB_PATHS):
        await page.get_by_role("button", name="Try again").click()
    await page.unroute(JOB_PATHS)
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_late_answer(signed_in: Browsing, api: httpx.AsyncClient, container: str) -> None:
    """An answer that comes late does not replace a newer one."""
    page = signed_in.page
    asked, free = asyncio.Event(), asyncio.Event()

    async def hold_first(route: Route) -> None:
        is_first = not asked.is_set()
        asked.set()
        answer = await route.fetch()
        if is_first:
            await free.wait()
        await route.fulfill(response=answer)

    await page.goto("/#/jobs")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await page.route(JOB_PATHS, hold_first)
    await done(api, f"containers/{container}/start")
    await asked.wait()
    newest = await done(api, f"containers/{container}/start")
    # Longer than the page gathers events: whatever would be asked meanwhile has been.
    await page.evaluate("new Promise((later) => setTimeout(later, 600))")
    link = page.locator(f"a[href='#/jobs/{newest[-1].content['id']}']")

    async with page.expect_event("requestfinished", lambda request: bool(JOB_PATHS.search(request.url))):
        free.set()
    await page.evaluate("new Promise((drawn) => setTimeout(() => requestAnimationFrame(drawn)))")

    top = page.locator("tbody tr").first.and_(page.locator("tr", has=link))
    # Before the page looks again by itself.
    await expect(top).to_contain_text("succeeded", timeout=10_000)


async def test_more_jobs(signed_in: Browsing, api: httpx.AsyncClient, container: str) -> None:
    """A list that goes on says so, and shows more when asked, from where the focus then is."""
    page = signed_in.page

    async def shorten(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=(await answer.text()).replace("= 100;", "= 1;"))

    await done(api, f"containers/{container}/start")
    await page.route("**/assets/views/jobs.js", shorten)
    await page.goto("/#/jobs")
    await page.reload()
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(page.get_by_text("The first 1 are shown.")).to_be_visible()

    await page.get_by_role("button", name="Show more").click()

    await expect(rows).to_have_count(2)
    await expect(rows.nth(1).get_by_role("link")).to_be_focused()


async def _turn(page: Page, is_hidden: str) -> None:
    await page.evaluate(
        "(hidden) => { document.body.dataset.hidden = hidden;"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        is_hidden,
    )


async def _viewers(stack: RunningStack) -> int:
    token = (stack.data / "secrets" / "metrics-token").read_text().strip()
    async with stack.client(token) as client:
        metrics = (await client.get("/metrics")).text
    return int(float(re.findall(r"^slipway_gateway_viewers (\S+)", metrics, re.MULTILINE)[0]))


async def _until_viewers(stack: RunningStack, number: int) -> None:
    async def are_so_many() -> bool:
        return await _viewers(stack) == number

    await until(are_so_many)
