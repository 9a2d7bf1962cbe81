"""What is shown of a container is what its host holds: after jobs, and after changes by others."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from support.command_line import slipway
from support.lab import lab_of
from support.stack import RunningStack, create, done, job_events, messages

Row = dict[str, Any]
SOON_SECONDS = 40.0


@pytest.fixture
async def lab(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """The node, as whoever works in Proxmox itself."""
    async with lab_of(stack.data) as client:
        yield client


@pytest.fixture
async def made(api: httpx.AsyncClient) -> Row:
    """A container that runs."""
    return await new(api)


async def test_settings_that_wait_for_a_restart(
    stack: RunningStack, api: httpx.AsyncClient, made: Row
) -> None:
    """They are shown beside what holds; dropped from the command line, or there after a restart."""
    path = f"containers/{made['id']}"
    change = {"nameserver": "10.9.9.9", "searchdomain": "example.org", "tags": ["blue"]}

    events = await done(api, f"{path}/configure", change)
    waiting = await read(api, made)
    plan = (await api.post(f"/api/v1/{path}/revert", params={"plan": "true"})).json()
    status, output = await slipway(stack, "revert", made["hostname"], "--keys", "searchdomain")
    left = await read(api, made)
    await done(api, f"{path}/restart", {"grace_seconds": 10})
    after = await read(api, made)

    job = (await api.get(f"/api/v1/jobs/{events[-1].content['id']}")).json()
    assert "after-restart: nameserver, searchdomain" in job["warnings"]
    assert waiting["pending"] == {
        "nameserver": {"now": None, "after_restart": "10.9.9.9"},
        "searchdomain": {"now": None, "after_restart": "example.org"},
    }
    assert (waiting["spec"]["nameserver"], waiting["spec"]["tags"]) == (None, ["blue"])
    assert [step["effect"] for step in plan["steps"]] == ["done", "acts"], plan
    assert status == 0, output
    assert list(left["pending"]) == ["nameserver"]
    assert (after["pending"], after["spec"]["nameserver"]) == ({}, "10.9.9.9")
    assert after["spec"]["searchdomain"] is None


async def test_addresses_and_services_are_those_of_what_runs(api: httpx.AsyncClient, made: Row) -> None:
    """A stopped container has no address and no links; a copy that is started has its own."""
    path = f"containers/{made['id']}"
    before = await read(api, made)

    await done(api, f"{path}/stop")
    stopped = await read(api, made)
    name = f"copy-{secrets.token_hex(3)}"
    accepted = (await api.post(f"/api/v1/{path}/clone", json={"hostname": name})).json()
    await job_events(api, accepted["job"]["id"])
    copy = await read(api, accepted["container"])
    await done(api, f"containers/{copy['id']}/start")
    started = await read(api, copy)

    assert before["address"] is not None
    assert (stopped["address"], {each["url"] for each in stopped["services"]}) in (
        (None, {None}),
        (None, set()),
    )
    assert {each["status"] for each in stopped["services"]} <= {"stopped"}
    assert (copy["address"], copy["power"]) == (None, "stopped")
    assert started["address"] not in {None, before["address"]}
    assert {each["name"] for each in started["services"]} == {each["name"] for each in before["services"]}
    assert started["warnings"] == []


async def test_going_back_is_shown_as_it_is(api: httpx.AsyncClient) -> None:
    """Sizes, name and tags are those of the snapshot; it is stopped, and nothing waits."""
    made = await new(api, storage="local-lvm")
    path = f"containers/{made['id']}"
    await done(api, f"{path}/snapshot", {"snapshot": "before"})
    await done(api, f"{path}/resize", {"cores": 2, "memory": 700})
    renamed = {"hostname": f"{made['hostname']}-x", "tags": ["late"], "tty": 1}
    await done(api, f"{path}/configure", renamed)

    await done(api, f"{path}/rollback", {"snapshot": "before"})

    container = await read(api, made)
    spec = container["spec"]
    assert (spec["cores"], spec["memory"], spec["tags"], spec["tty"]) == (1, 512, ["debian"], None)
    assert (container["hostname"], container["power"], container["address"]) == (
        made["hostname"],
        "stopped",
        None,
    )
    assert container["pending"] == {}


async def test_an_address_that_is_gone_is_not_shown(api: httpx.AsyncClient, made: Row) -> None:
    """A running guest asks nobody for one; what was not given of its network stays."""
    network = made["spec"]["networks"][0]
    path = f"containers/{made['id']}"
    await done(api, f"{path}/configure", {"networks": [{"ip": "10.77.0.5/24"}]})
    fixed = await read(api, made)

    events = await done(api, f"{path}/configure", {"networks": [{"ip": "dhcp"}]})

    container = await read(api, made)
    assert network["bridge"] is not None
    assert fixed["spec"]["networks"] == [{**network, "ip": "10.77.0.5/24"}]
    assert container["spec"]["networks"] == [network]
    assert any("starts no DHCP client" in (each or "") for each in messages(events))
    assert container["address"] != "10.77.0.5"


async def test_changes_by_others_are_followed(
    api: httpx.AsyncClient, lab: httpx.AsyncClient, made: Row
) -> None:
    """Renamed, tagged and started in Proxmox itself; a name that another one has is only reported."""
    other = await new(api)
    config = f"/nodes/{made['node']}/lxc/{made['vmid']}/config"
    name = f"by-hand-{secrets.token_hex(3)}"
    await done(api, f"containers/{made['id']}/configure", {"timezone": "Europe/Berlin"})

    await lab.put(config, data={"hostname": name, "tags": "hand", "memory": "600"})
    renamed = await until(api, made, lambda row: row["hostname"] == name)
    await lab.post(f"/nodes/{made['node']}/lxc/{made['vmid']}/status/reboot")
    restarted = await until(api, made, lambda row: not row["pending"])
    await lab.put(config, data={"hostname": other["hostname"]})
    clashing = await until(api, made, lambda row: "hostname-taken" in row["warnings"])
    settled = await until(api, made, lambda row: "discovery-pending" not in row["warnings"])

    assert (renamed["spec"]["tags"], renamed["spec"]["memory"]) == (["hand"], 600)
    assert renamed["pending"] == {"timezone": {"now": None, "after_restart": "Europe/Berlin"}}
    assert restarted["spec"]["timezone"] == "Europe/Berlin"
    assert (clashing["hostname"], clashing["spec"]["hostname"]) == (name, name)
    assert settled["address"] is not None


@pytest.mark.slow
async def test_a_container_without_a_router_settles(api: httpx.AsyncClient) -> None:
    """Only the address that it lacks is left to say, also after a restart."""
    made = await new(api, networks=[{"ip": "dhcp", "ip6": "auto"}])
    created = await until(api, made, lambda row: "discovery-pending" not in row["warnings"])
    await done(api, f"containers/{made['id']}/restart", {"grace_seconds": 10})
    restarted = await until(api, made, lambda row: "discovery-pending" not in row["warnings"])

    lack = "without-address: net0 has no IPv6 address (auto): no router advertises a prefix on vmbr0"
    assert created["warnings"] == restarted["warnings"] == [lack]
    assert restarted["address"] is not None


async def test_tags_of_a_template_arrive(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """With those that were asked for: on the host, and here."""
    made = await new(api, tags=["mine"])

    config = (await lab.get(f"/nodes/{made['node']}/lxc/{made['vmid']}/config")).json()["data"]

    assert config["tags"] == "debian;mine"
    assert made["spec"]["tags"] == ["debian", "mine"]


@pytest.mark.parametrize(
    ("keys", "field"), [([], "args.keys"), (["a b"], "args.keys.0"), (["../x"], "args.keys.0")]
)
async def test_what_is_no_setting_is_refused(
    api: httpx.AsyncClient, ready: Row, keys: list[str], field: str
) -> None:
    """At the request, by its place."""
    answer = await api.post(f"/api/v1/containers/{ready['id']}/revert", json={"keys": keys})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def new(api: httpx.AsyncClient, **spec: Any) -> Row:
    """Have a container that runs."""
    accepted = await create(api, template="debian-base", hostname=f"true-{secrets.token_hex(3)}", **spec)
    events = await job_events(api, accepted["job"]["id"])
    assert events[-1].content["state"] == "succeeded", events[-1].text
    return await read(api, accepted["container"])


async def read(api: httpx.AsyncClient, container: Row) -> Row:
    """Return a container as it is shown."""
    row: Row = (await api.get(f"/api/v1/containers/{container['id']}")).json()
    return row


async def until(api: httpx.AsyncClient, container: Row, holds: Callable[[Row], bool]) -> Row:
    """Wait until a container is shown as it should be."""
    row: Row = {}
    try:
        async with asyncio.timeout(SOON_SECONDS):
            while not holds(row := await read(api, container)):  # noqa: ASYNC110 - another program's state
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"it is shown as {row}")
    return row
