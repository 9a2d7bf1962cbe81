"""What an admin sets for a cluster: what its containers may use of the hosts, and what new ones have."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.command_line import slipway
from support.pve_schema import check_record
from support.stack import RunningStack, create, done, job_events, messages, running_stack, stack_folder

ROOT = Path(__file__).parents[3]
SHARED = "/srv/shared"


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """A Slipway on a lab whose host has folders to mount, below one path that the cluster allows."""
    with stack_folder() as data:
        templates = data.parent / "lxc" / "templates"
        shutil.copytree(ROOT / "infra" / "lxc", templates.parent)
        environment = {"SLIPWAY_TEMPLATES_DIR": str(templates)}
        with running_stack("--lab", "--guests", "simulated", data=data, **environment) as running:
            host = data / "lab" / "host"
            (host / "srv/shared/my media").mkdir(parents=True)
            (host / "etc").mkdir()
            (host / "srv/shared/inside").symlink_to("my media")
            (host / "srv/shared/outside").symlink_to("/etc")
            limits = ("cluster", "limits", "set", "lab", "--restricted-keys", "--mount-path", SHARED)
            status, text = asyncio.run(slipway(running, *limits))
            assert status == 0, text
            yield running
        assert check_record(running.record) == []


@pytest.fixture
async def api(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the first user's rights."""
    async with stack.client() as client:
        yield client


async def test_a_container_gets_what_it_asks_of_the_host(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """A creation and a later change set them, links followed; asked for again there is nothing to do."""
    accepted = await create(
        api,
        template="debian-base",
        hostname="reaches",
        mounts=[{"storage": f"{SHARED}/inside", "path": "/media", "readonly": True}],
        devices=["/dev/net/tun,mode=0660"],
        features={"nesting": True, "mknod": True},
    )
    made = await job_events(api, accepted["job"]["id"])
    assert made[-1].content["state"] == "succeeded", made[-1].text
    vmid, path = accepted["container"]["vmid"], f"containers/{accepted['container']['id']}"
    at_first = config(stack, vmid)

    body = {
        "mounts": [{"storage": f"{SHARED}/my media", "path": "/srv/new $(x):1"}],
        "devices": [],
        "hookscript": "local:snippets/my hook.pl",
    }
    changed = await done(api, f"{path}/configure", body)
    again = await done(api, f"{path}/configure", body)
    container = (await api.get(f"/api/v1/{path}")).json()
    at_last = config(stack, vmid)
    await done(api, f"{path}/configure", {"mounts": [], "hookscript": ""})

    assert at_first["mp0"].split(",") == [f"{SHARED}/my media", "mp=/media", "ro=1"]
    assert "/dev/net/tun" in at_first["dev0"]
    assert "mknod=1" in at_first["features"]
    assert "dev0, hookscript, mp0, mp1; after the next restart: dev0, mp0" in messages(changed)
    assert "nothing to do; after the next restart: dev0, mp0" in messages(again)
    assert at_last["mp1"].split(",") == [f"{SHARED}/my media", "mp=/srv/new $(x):1"]
    assert at_last["hookscript"] == "local:snippets/my hook.pl"
    assert set(at_last["pending"]) == {"dev0", "mp0"}
    assert [each["path"] for each in container["spec"]["mounts"]] == ["/media", "/srv/new $(x):1"]
    assert {key: each["after_restart"] for key, each in container["pending"].items()} == {
        "dev0": None,
        "mp0": None,
    }
    after = config(stack, vmid)
    assert "hookscript" not in after
    assert set(after["pending"]) == {"dev0", "mp0", "mp1"}


@pytest.mark.parametrize(
    "source", ["/etc", "/srv/sharedish", "/srv/shared/../../etc", "/srv/shared/a,mp=x", "/"]
)
async def test_paths_outside_are_refused(api: httpx.AsyncClient, source: str) -> None:
    """Neither a path beside the listed one nor a disguised one is accepted."""
    answer = await api.post(
        "/api/v1/containers",
        json={"hostname": "no", "template": "debian-base", "mounts": [{"storage": source, "path": "/x"}]},
    )

    assert answer.status_code in (403, 422), answer.text
    assert answer.json()["errors"][0]["field"] == "mounts.0.storage"


@pytest.mark.parametrize(
    ("source", "code"),
    [("outside", "restricted-key.forbidden"), ("nothing", "bind-mount.source-missing")],
)
async def test_where_a_path_ends_decides(api: httpx.AsyncClient, source: str, code: str) -> None:
    """A link that leads out of the listed path is found before anything is made."""
    accepted = await create(
        api,
        template="debian-base",
        hostname=f"leads-{source}",
        mounts=[{"storage": f"{SHARED}/{source}", "path": "/x"}],
    )

    events = await job_events(api, accepted["job"]["id"])

    error = events[-1].content["error"]
    assert (error["code"], error["errors"][0]["field"]) == (code, "mounts.0.storage")
    assert error["details"]["step"] == "create.preflight"


async def test_an_admin_takes_it_back(api: httpx.AsyncClient) -> None:
    """By the API, where a wrong path is named; from then on nothing of it is accepted."""
    limits = "/api/v1/clusters/lab/limits"
    wrong = await api.put(limits, json={"restricted_keys": True, "mount_paths": ["/srv", "/srv/../etc"]})
    denied = await api.put(limits, json={})

    answer = await api.post(
        "/api/v1/containers", json={"hostname": "no", "template": "debian-base", "devices": ["/dev/fuse"]}
    )

    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "mount_paths.1")
    assert denied.json() == {"restricted_keys": False, "mount_paths": []} == (await api.get(limits)).json()
    assert (answer.status_code, answer.json()["code"]) == (403, "restricted-key.forbidden")
    audit = (await api.get("/api/v1/audit")).json()["items"]
    assert (
        next(each for each in audit if each["action"] == "cluster.limits")["details"]["mount_paths"] == "none"
    )


async def test_a_creation_has_what_the_site_says(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """From a terminal: set, shown by the plan as the site's, in the guest, and taken away again."""
    site = (
        "--vlan",
        "7",
        "--timezone",
        "Europe/Berlin",
        "--http-proxy",
        "http://proxy.lan:3128",
        "--tag",
        "site",
    )
    refused = await slipway(stack, "cluster", "defaults", "set", "lab", "--http-proxy", "http://me:pw@proxy")
    was_set = await slipway(stack, "cluster", "defaults", "set", "lab", *site)
    _, plan = await slipway(stack, "create", "debian-base", "at-site", "--plan")
    accepted = await create(api, template="debian-base", hostname="at-site", timezone="host")
    events = await job_events(api, accepted["job"]["id"])
    was_unset = await slipway(stack, "cluster", "defaults", "unset", "lab", "vlan", "http-proxy")
    left = (await api.get("/api/v1/clusters/lab/defaults")).json()
    await api.delete("/api/v1/clusters/lab/defaults")

    assert refused[0] != 0
    assert "http_proxy" in refused[1]
    assert (was_set[0], was_unset[0]) == (0, 0), (was_set, was_unset)
    assert "From the site defaults: guest.http_proxy http://proxy.lan:3128" in plan
    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert any(each.content.get("step") == "start.site" for each in events if each.kind == "step")
    made = config(stack, accepted["container"]["vmid"])
    assert "tag=7" in made["net0"]
    assert made["timezone"] == "host"
    assert "site" in made["tags"]
    assert {name: value for name, value in left.items() if value} == {
        "tags": ["site"],
        "timezone": "Europe/Berlin",
    }


async def test_vmids_are_chosen_from_a_range(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """From a terminal: what is no range is refused before the server is asked, and `all` ends it."""
    was_set = await slipway(stack, "cluster", "vmid-range", "lab", "4200-4299")
    chosen = (await api.get("/api/v1/clusters/lab/vmids/next")).json()["vmid"]
    refused = await slipway(stack, "cluster", "vmid-range", "lab", "4200")
    ended = await slipway(stack, "cluster", "vmid-range", "lab", "all")

    assert (was_set[0], refused[0], ended[0]) == (0, 2, 0), (was_set, refused, ended)
    assert chosen == 4200
    assert "200-299" in refused[1]
    assert (await api.get("/api/v1/clusters/lab")).json()["vmids"] is None


def config(stack: RunningStack, vmid: int) -> dict[str, Any]:
    """Read the config that the lab keeps of a container, with what waits for its next start (`pending`)."""
    content: dict[str, Any] = json.loads((stack.data / "lab" / "containers" / f"{vmid}.json").read_text())
    return content


async def test_a_creation_from_a_terminal_takes_vmid_and_pool(stack: RunningStack) -> None:
    """The plan has the one; a pool that is not there is refused with those that are."""
    planned, plan = await slipway(stack, "create", "debian-base", "web", "--vmid", "4242", "--plan")
    refused, why = await slipway(stack, "create", "debian-base", "web", "--pool", "nope", "--plan")

    assert (planned, "web (4242, cluster lab)" in plan) == (0, True), plan
    assert (refused, "no pool 'nope'" in why) == (1, True), why
