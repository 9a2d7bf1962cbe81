"""A real Chromium for tests of the page, and all that a page complained about while it was open."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import ConsoleMessage, Error, Page, async_playwright, expect

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_TIMEOUT_MS = 30_000


@dataclass
class Browsing:
    """An open page, and what went wrong in it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors of scripts and of the console; a broken content security policy is among these."""

    def watch(self) -> None:
        """Gather complaints from now on."""
        self.page.on("console", self._hear)
        self.page.on("pageerror", self._bear)

    def _hear(self, message: ConsoleMessage) -> None:
        # Asking who is signed in, and getting the answer "nobody", is how the page begins.
        is_expected = "401" in message.text and message.location["url"].endswith("/api/v1/session")
        # Chromium drops requests when an interface comes or goes, here of other tests' containers.
        is_of_the_machine = "ERR_NETWORK_CHANGED" in message.text
        if message.type == "error" and not (is_expected or is_of_the_machine):
            self.complaints.append(f"{message.text} ({message.location['url']})")

    def _bear(self, error: Error) -> None:
        self.complaints.append(str(error))


@asynccontextmanager
async def browsing(address: str) -> AsyncIterator[Browsing]:
    """Open a page at this address in a fresh browser; the test is skipped where there is no Chromium."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium on PATH: none of {', '.join(_NAMES)}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = await browser.new_context(base_url=address)
        context.set_default_timeout(_TIMEOUT_MS)
        expect.set_options(timeout=_TIMEOUT_MS)
        opened = Browsing(await context.new_page())
        opened.watch()
        try:
            yield opened
        finally:
            await browser.close()


async def sign_in(page: Page, secret: str) -> None:
    """Give the secret where it is asked for."""
    await page.get_by_label("Secret").fill(secret)
    await page.get_by_role("button", name="Sign in").click()


async def ask_for(page: Page, template: str, name: str) -> None:
    """Fill in the form of a new container, and come to its job."""
    await page.goto("/#/new")
    await page.get_by_role("radio", name=re.compile(template)).check()
    await page.get_by_label("Hostname").fill(name)
    await page.get_by_role("button", name="Create container").click()
    await expect(page.get_by_role("heading", name=f"Create {name}")).to_be_visible()
