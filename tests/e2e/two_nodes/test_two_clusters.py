"""Two clusters with containers of one name: lists of jobs, a job and the page name the cluster."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from slipway.lab.node import Lab
from support.browser import browsing, sign_in
from support.command_line import slipway
from support.lab import running_lab, until
from support.stack import RunningStack, create, job_events


def body_of(lab: Lab) -> dict[str, object]:
    """Describe a lab as another cluster."""
    ssh = {
        "private_key": lab.ssh_private_key,
        "port": lab.ssh_port,
        "nodes": {"lab": {"address": "127.0.0.1", "port": lab.ssh_port, "host_key": lab.ssh_host_key}},
    }
    return {
        "name": "attic",
        "endpoint": lab.endpoint,
        "token_id": lab.token_id,
        "token_secret": lab.token_secret,
        "tls_fingerprint": lab.fingerprint,
        "ssh": ssh,
    }


async def add(api: httpx.AsyncClient, lab: Lab) -> None:
    """Add a lab's cluster, and wait until containers can be created there."""
    added = await api.post("/api/v1/clusters", json=body_of(lab))
    assert added.is_success, added.text

    async def is_usable() -> bool:
        nodes = (await api.get("/api/v1/clusters/attic")).json()["nodes"]
        return [each["is_ssh_usable"] for each in nodes] == [True]

    await until(is_usable)


@pytest.mark.browser
async def test_jobs_name_their_cluster(two: RunningStack, tmp_path: Path) -> None:
    """A name that is taken on one cluster is free on the other; each job says which one it is about."""
    clusters = ["lab", "attic"]
    async with two.client() as api, running_lab(tmp_path, guests="simulated") as second:
        await add(api, second)
        jobs = [
            (await create(api, hostname="twin", cluster=cluster, template="debian-base"))["job"]["id"]
            for cluster in clusters
        ]
        for job in jobs:
            assert (await job_events(api, job))[-1].content["state"] == "succeeded"

        shown = [(await api.get(f"/api/v1/jobs/{job}")).json()["cluster"] for job in jobs]
        listed = (await api.get("/api/v1/jobs", params={"limit": 2})).json()["items"]
        _, table = await slipway(two, "jobs", "--limit", "2")
        _, one = await slipway(two, "job", "show", jobs[1])
        _, names = await slipway(two, "ls", "-o", "name")
        refused = await slipway(two, "stop", "twin")
        planned = await slipway(two, "stop", names.split()[-1], "--plan")
        async with browsing(two.endpoints["http"]) as visit:
            await visit.page.goto("/#/jobs")
            await sign_in(visit.page, two.token)
            rows = visit.page.locator("tbody tr").filter(has_text="twin")
            await expect(rows.filter(has_text="attic")).to_have_count(1)
            await expect(rows.filter(has_text="lab")).to_have_count(1)
            await visit.page.goto(f"/#/jobs/{jobs[1]}")
            await expect(visit.page.get_by_text("cluster attic")).to_be_visible()
            containers = [(await api.get(f"/api/v1/jobs/{job}")).json()["container"] for job in jobs]
            await visit.page.goto(f"/#/containers/{containers[1]}")
            await visit.page.get_by_role("button", name="Stop").click()
            await expect(visit.page.get_by_role("dialog")).to_contain_text("twin, VMID 100 of cluster attic")
        removed = await api.delete("/api/v1/clusters/attic")

        assert shown == clusters
        assert {each["id"]: each["cluster"] for each in listed} == dict(zip(jobs, clusters, strict=True))
        assert [line.split()[0] for line in table.splitlines()[-2:]] == clusters[::-1], table
        assert "attic" in one
        assert set(names.split()) >= set(containers), names
        assert "twin" not in names
        assert refused[0] == 1
        for container, cluster in zip(containers, clusters, strict=True):
            assert re.search(rf"{container} is twin \(\d+, cluster {cluster}\)", refused[1]), refused[1]
        assert re.search(r"of twin \(\d+, cluster \w+\)", planned[1]), planned[1]
        assert removed.is_success, removed.text
