"""The main job on a genuine Alpine: no systemd, bash, curl or ss, and all is found as on Debian."""

import asyncio
import secrets
from typing import Any

import pytest

from support.clients import http_client
from support.stack import RunningStack, create, done, job_events

pytestmark = [pytest.mark.lxc, pytest.mark.slow]
MINUTES = 60.0


@pytest.mark.usefixtures("alpine_archive")
async def test_a_page_of_openrc_is_served(real_stack: RunningStack) -> None:
    """Created, healthy, reached at the URL that was found, and there again after a restart."""
    title = f"Built {secrets.token_hex(4)}"
    async with real_stack.client() as api, http_client() as outside:
        accepted = await create(
            api,
            template="openrc-page",
            hostname=f"alpine-{secrets.token_hex(3)}",
            variables={"title": title},
        )
        events = await asyncio.wait_for(job_events(api, accepted["job"]["id"]), 2 * MINUTES)
        path = f"containers/{accepted['container']['id']}"
        container = (await api.get(f"/api/v1/{path}")).json()
        first = await outside.get(_url(container))
        await asyncio.wait_for(done(api, f"{path}/restart"), 2 * MINUTES)
        again = await outside.get(_url((await api.get(f"/api/v1/{path}")).json()))

    job = events[-1].content
    assert (job["state"], job["warnings"]) == ("succeeded", []), events[-1].text
    assert [first.text, again.text] == [f"{title}\n", f"{title}\n"]
    assert {each["name"] for each in container["credentials"]} == {
        "root/password",
        "page/admin-password",
    }


def _url(container: dict[str, Any]) -> str:
    """Return the one URL that was found."""
    (found,) = [each for each in container["services"] if each["url"]]
    assert (found["name"], found["kind"]) == ("page", "openrc")
    return str(found["url"])
