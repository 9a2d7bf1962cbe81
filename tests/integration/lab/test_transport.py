"""How the lab behaves on the wire: logins, delays, refusals, closing."""

import asyncio
import dataclasses
import socket
import time
from pathlib import Path

import httpx
import pytest

from support.lab import FAST, api_client, new_container, root_client, running_lab, trust


async def test_refusal_takes_its_time_and_has_no_body(tmp_path: Path) -> None:
    """A wrong token costs the delay of a real node, and the answer is empty."""
    timings = dataclasses.replace(FAST, auth_delay=0.4)
    began = time.monotonic()

    async with running_lab(tmp_path, timings=timings) as lab, httpx.AsyncClient(verify=trust(lab)) as client:
        headers = {"Authorization": f"PVEAPIToken={lab.token_id}=wrong"}
        answer = await client.get(f"{lab.endpoint}/api2/json/version", headers=headers)

    assert (answer.status_code, answer.reason_phrase, answer.content) == (401, "Authentication failed!", b"")
    assert time.monotonic() - began >= 0.4


async def test_ticket_renews_itself(tmp_path: Path) -> None:
    """A ticket posted as the password gives another one, without the password."""
    async with running_lab(tmp_path) as lab, root_client(lab) as client:
        ticket = client.cookies["PVEAuthCookie"]
        answer = await client.post("/access/ticket", data={"username": "root@pam", "password": ticket})

    assert answer.json()["data"]["ticket"].startswith("PVE:root@pam:")


async def test_change_with_a_ticket_needs_the_csrf_token(tmp_path: Path) -> None:
    """A ticket alone may read and not write."""
    async with running_lab(tmp_path) as lab, root_client(lab) as client:
        del client.headers["CSRFPreventionToken"]
        read = await client.get("/version")
        written = await client.post(f"/nodes/{lab.name}/lxc", data={"vmid": 100})

    assert read.status_code == 200
    assert (written.status_code, written.reason_phrase) == (401, "Permission denied - invalid csrf token")


@pytest.mark.parametrize(
    ("method", "content", "reason"),
    [
        ("DELETE", b"force=1", "Unexpected content for method 'DELETE'"),
        ("POST", b"x" * 600_000, "for data too large"),
        ("PATCH", b"", "method 'PATCH' not available"),
    ],
)
async def test_what_the_front_does_not_take(tmp_path: Path, method: str, content: bytes, reason: str) -> None:
    """Bodies where none belong, too much of them and unknown methods are 501."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        answer = await client.request(method, "/nodes/lab/lxc/100", content=content)

    assert (answer.status_code, answer.reason_phrase) == (501, reason)


async def test_error_closes_the_connection(tmp_path: Path) -> None:
    """After an error the connection is gone; after a success it stays."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        good = await client.get("/version")
        bad = await client.get("/nope")

    assert good.headers["connection"] == "Keep-Alive"
    assert bad.headers["connection"] == "close"


async def test_json_and_form_are_the_same(tmp_path: Path) -> None:
    """A body may be JSON, with real numbers and booleans."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await new_container(client, lab)
        answer = await client.put(f"/nodes/{lab.name}/lxc/100/config", json={"memory": 256, "onboot": True})
        config = (await client.get(f"/nodes/{lab.name}/lxc/100/config")).json()["data"]

    assert answer.status_code == 200
    assert (config["memory"], config["onboot"]) == (256, 1)


async def test_every_bad_parameter_is_named_at_once(tmp_path: Path) -> None:
    """One answer names all that is wrong."""
    form = {"vmid": "x", "hostname": "_", "memory": 1, "foo": 1}

    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        answer = await client.post(f"/nodes/{lab.name}/lxc", data=form)

    assert answer.reason_phrase == "Parameter verification failed."
    assert set(answer.json()["errors"]) == {"vmid", "hostname", "memory", "foo", "ostemplate"}


async def test_token_may_not_do_what_only_root_may(tmp_path: Path) -> None:
    """Features beyond nesting and bind mounts are refused to any token, even root's."""
    options = ({"features": "nesting=1,keyctl=1"}, {"rootfs": "local:2", "mp0": "/srv,mp=/data"})

    async with running_lab(tmp_path) as lab:
        for as_root in (False, True):
            async with api_client(lab, as_root=as_root) as client:
                for one in options:
                    form = {"vmid": 100, "ostemplate": "local:vztmpl/x.tar.zst", **one}
                    answer = await client.post(f"/nodes/{lab.name}/lxc", data=form)
                    assert answer.status_code == 403
                    assert "only allowed for root@pam" in answer.reason_phrase


async def test_lists_leave_out_what_may_not_be_seen(tmp_path: Path) -> None:
    """Without a right a container is missing from lists, not refused."""
    async with running_lab(tmp_path, service_acl={}) as lab:
        async with root_client(lab) as root:
            await new_container(root, lab)
        async with api_client(lab) as client:
            containers = (await client.get(f"/nodes/{lab.name}/lxc")).json()["data"]
            resources = (await client.get("/cluster/resources")).json()["data"]

    assert containers == []
    assert [row["type"] for row in resources] == ["node"]


async def test_two_creations_of_one_vmid_race(tmp_path: Path) -> None:
    """Of two callers one gets the VMID, the other an error that it exists."""
    timings = dataclasses.replace(FAST, create_check=1.0)
    async with running_lab(tmp_path, timings=timings) as lab, api_client(lab) as client:
        volume = (await client.get(f"/nodes/{lab.name}/storage/local/content")).json()["data"][0]["volid"]
        form = {"vmid": 200, "ostemplate": volume, "features": "nesting=1"}
        posts = (client.post(f"/nodes/{lab.name}/lxc", data=form) for _ in range(3))
        answers = sorted(await asyncio.gather(*posts), key=lambda answer: answer.status_code)

    assert [answer.status_code for answer in answers] == [200, 500, 500]
    assert answers[1].reason_phrase == "unable to create CT 200 - CT 200 already exists on node 'lab'"


@pytest.mark.parametrize("path", ["/api2/json/version", "/nowhere"])
async def test_a_client_that_never_takes_leave_holds_no_stop(tmp_path: Path, path: str) -> None:
    """Whether its connection was open or about to close: the lab ends it and reports no error."""
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    before = asyncio.all_tasks()
    async with running_lab(tmp_path) as lab:
        address = lab.endpoint.removeprefix("https://").rsplit(":", 1)
        plain = await asyncio.to_thread(socket.create_connection, (address[0], int(address[1])))
        client = await asyncio.to_thread(trust(lab).wrap_socket, plain, server_hostname=address[0])
        await asyncio.to_thread(client.sendall, f"GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n".encode())
        await asyncio.to_thread(client.recv, 12)

        await asyncio.wait_for(lab.stop(), 5)

        left = [each for each in asyncio.all_tasks() - before if "_accept" in repr(each)]
        client.close()
    assert (left, errors) == ([], [])
