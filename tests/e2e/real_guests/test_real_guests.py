"""The main job on real Debian containers: nginx serves its page through the container's own address."""

import asyncio
import os
import re
import secrets
import signal

import httpx
import pytest

from support.clients import http_client
from support.demo import run_demo
from support.job_logs import lines
from support.real_guests import need_real_guests
from support.stack import RunningStack, create, job_events, stack_folder

pytestmark = [pytest.mark.lxc, pytest.mark.slow]
MINUTES = 60.0
WHOLE = ("it begins", "fetched 100 %", "Shall it go on? yes", "and that is all", "the next has run")
"""What the scripts of the template `progress` print."""


async def test_site_is_served(real_stack: RunningStack) -> None:
    """A killed worker in the middle of the packages makes no difference: one dpkg run, then the page."""
    async with real_stack.client() as api:
        title = f"Built {secrets.token_hex(4)}"
        name = f"real-{secrets.token_hex(3)}"
        accepted = await create(api, template="nginx-site", hostname=name, variables={"title": title})
        await asyncio.wait_for(_killed_in_sync(real_stack, api, accepted["job"]["id"]), 3 * MINUTES)
        events = await asyncio.wait_for(job_events(api, accepted["job"]["id"]), 4 * MINUTES)
        container = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()

    assert events[-1].content["state"] == "succeeded", events[-1].text
    percents = [event.content["percent"] for event in events if event.kind == "phase"]
    assert percents == [0, 20, 20, 35, 35, 60, 60, 90, 90, 100]
    assert sum(line.startswith("Setting up nginx-light") for line in lines(events)) == 1
    assert lines(events).count("nginx serves the page") == 1
    url = next(each["url"] for each in container["services"] if each["name"] == "nginx" and each["url"])
    async with http_client() as outside:
        page = await outside.get(url)
    assert title in page.text
    assert {each["name"] for each in container["credentials"]} == {"root/password", "nginx/status-password"}


async def test_output_and_credentials(real_stack: RunningStack) -> None:
    """Progress is seen while it lasts and is one line; what was saved is whole."""
    async with real_stack.client() as api:
        output = await create(api, template="progress", hostname=f"output-{secrets.token_hex(3)}")
        saved = await create(api, template="saving", hostname=f"saved-{secrets.token_hex(3)}")
        events = await asyncio.wait_for(job_events(api, output["job"]["id"]), 3 * MINUTES)
        await asyncio.wait_for(job_events(api, saved["job"]["id"]), 3 * MINUTES)
        path = f"/api/v1/containers/{saved['container']['id']}"
        credentials = {
            each["name"]: (await api.post(f"{path}/credentials/{each['id']}/reveal")).json()["value"]
            for each in (await api.get(path)).json()["credentials"]
        }

    states = [event.content["lines"][0]["text"] for event in events if event.content.get("is_unfinished")]
    assert {"Shall it go on? "} < set(states)
    assert [line for line in lines(events) if line in WHOLE] == list(WHOLE)
    assert credentials["saving/key"] == "two  words\r\nline2=abc\n=== other"


async def test_guest_without_network(real_stack: RunningStack) -> None:
    """A container that reaches no mirror fails in phase start and says what was tried; it can be deleted."""
    network = {"ip": "192.0.2.10/24", "gw": "192.0.2.1"}
    async with real_stack.client() as api:
        name = f"cut-off-{secrets.token_hex(3)}"
        accepted = await create(api, template="debian-base", hostname=name, networks=[network])
        events = await asyncio.wait_for(job_events(api, accepted["job"]["id"]), 4 * MINUTES)
        deletion = await api.delete(f"/api/v1/containers/{accepted['container']['id']}")
        gone = await asyncio.wait_for(job_events(api, deletion.json()["job"]["id"]), 2 * MINUTES)

    done = events[-1].content
    assert (done["state"], done["error"]["code"], done["percent"]) == ("failed", "guest.without-network", 30)
    assert all(word in done["error"]["message"] for word in ("default route", "DNS", "package mirror"))
    assert gone[-1].content["state"] == "succeeded", gone[-1].text


def test_demo() -> None:
    """The demo fetches the page through the real container's own address, and ends well."""
    need_real_guests()
    with stack_folder() as data:
        ended = run_demo("demo", data, "--once", "--port", "0", LAB="lxc")

    assert ended.status == 0, ended.output
    assert re.search(r"GET http://\S+\n  200 OK: ", ended.output), ended.output


async def _killed_in_sync(stack: RunningStack, api: httpx.AsyncClient, job: str) -> None:
    """Kill the provisioner while packages are being unpacked."""
    async with api.stream("GET", f"/api/v1/jobs/{job}/events") as answer:
        async for line in answer.aiter_lines():
            if "Unpacking" in line:
                os.kill(stack.endpoints["pids"]["provisioner"], signal.SIGKILL)
                return
