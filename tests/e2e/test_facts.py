"""A form's choices: read without a call to Proxmox, and an OS template downloaded before it is used."""

import httpx
import pytest

from support.stack import RunningStack, done
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
ARCHIVE = "ubuntu-24.04-standard_24.04-2_amd64.tar.zst"


async def test_choices_and_checks_ask_no_host(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Twenty of each; what else is asked of Proxmox meanwhile are polls."""
    (cluster,) = (await api.get("/api/v1/clusters")).json()["items"]
    path = f"/api/v1/clusters/{cluster['name']}"

    async def are_devices_known() -> bool:
        facts = (await api.get(f"{path}/facts")).raise_for_status().json()
        return all(node["devices"] for node in facts["nodes"])

    await until(are_devices_known, within_seconds=60)
    before = stack.record.read_text().count("/cluster/nextid")
    for _ in range(20):
        facts = (await api.get(f"{path}/facts")).raise_for_status().json()
        following = (await api.get(f"{path}/vmids/next")).raise_for_status().json()
        query = {"vmid": str(following["vmid"]), "hostname": "-x", "address": "10.9.8.7"}
        check = (await api.get(f"{path}/availability", params=query)).raise_for_status().json()

    assert facts["nodes"][0]["looked_at"].keys() >= {"storages", "bridges", "devices", "vmids"}
    states = {field: check[field]["state"] for field in query}
    assert states == {"vmid": "free", "hostname": "invalid", "address": "free"}
    assert stack.record.read_text().count("/cluster/nextid") == before


async def test_everything_is_read_anew_on_request(api: httpx.AsyncClient) -> None:
    """Also the list of downloads, which is read once an hour otherwise."""
    (cluster,) = (await api.get("/api/v1/clusters")).json()["items"]
    path = f"/api/v1/clusters/{cluster['name']}/facts"

    async def ages() -> list[str | None]:
        nodes = (await api.get(path)).raise_for_status().json()["nodes"]
        return [node["looked_at"].get("appliances") for node in nodes]

    async def are_known() -> bool:
        return all(await ages())

    await until(are_known, within_seconds=60)
    before = await ages()
    accepted = await api.post(f"{path}/refresh")

    async def are_new() -> bool:
        return all(new != old for new, old in zip(await ages(), before, strict=True))

    assert (accepted.status_code, accepted.json()["is_new"]) == (httpx.codes.ACCEPTED, True)
    await until(are_new, within_seconds=60)


async def test_an_os_template_is_downloaded_and_then_known(api: httpx.AsyncClient) -> None:
    """The node is looked at again when the job has ended."""
    (cluster,) = (await api.get("/api/v1/clusters")).json()["items"]
    path = f"clusters/{cluster['name']}"

    events = await done(api, f"{path}/os-templates", {"template": "ubuntu-24.04"})

    async def is_listed() -> bool:
        facts = (await api.get(f"/api/v1/{path}/facts")).json()
        volumes = {each["volume"] for node in facts["nodes"] for each in node["os_templates"]}
        return f"local:vztmpl/{ARCHIVE}" in volumes

    await until(is_listed, within_seconds=60)
    assert any("100 %" in str(each.content.get("message")) for each in events if each.kind == "progress")
