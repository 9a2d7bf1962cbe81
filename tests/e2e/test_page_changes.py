"""A container is changed from its page: resized, stored and put back."""

import secrets

import httpx
import pytest
from playwright.async_api import Page, expect

from support.browser import Browsing
from support.stack import create, job_events

pytestmark = [pytest.mark.browser, pytest.mark.slow]

JOB_MS = 90_000


async def test_container_changed(signed_in: Browsing, api: httpx.AsyncClient) -> None:
    """A snapshot is taken and, once its plan was read, rolled back to; a backup and a resize are made."""
    page = signed_in.page
    name = f"change-{secrets.token_hex(3)}"
    accepted = await create(api, template="debian-base", hostname=name)
    await job_events(api, accepted["job"]["id"])
    container = accepted["container"]["id"]
    await page.goto(f"/#/containers/{container}")

    await page.get_by_label("Name of a new snapshot").fill("before")
    await page.get_by_role("button", name="Take a snapshot").click()
    await _seen_done(page, f"Snapshot {name}: done")
    await page.get_by_label("Cores").fill("2")
    await page.get_by_role("button", name="Resize").click()
    await _seen_done(page, f"Resize {name}: done")
    await page.get_by_role("button", name="Back up now").click()
    await _seen_done(page, f"Back up {name}: done")
    await expect(page.get_by_role("button", name="Restore")).to_be_visible()
    await page.get_by_role("button", name="Roll back before").click()
    plan = page.get_by_role("dialog", name=f"Roll {name} back to before?")
    await expect(plan.get_by_text("since the snapshot before")).to_be_visible()
    await plan.get_by_role("button", name="Roll back").click()
    await _seen_done(page, f"Roll back {name}: done")
    assert page.url.endswith(container)

    assert signed_in.complaints == []


async def _seen_done(page: Page, title: str) -> None:
    await expect(page.get_by_role("heading", name=title)).to_be_visible(timeout=JOB_MS)
