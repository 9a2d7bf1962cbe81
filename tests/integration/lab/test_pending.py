"""Changes that a running container can't take: where they show, when they come true, how they get lost."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.lab.node import Lab
from support.lab import api_client, ended, new_container, root_client, running_lab, ssh_client, started

CONFIG = "/nodes/lab/lxc/100/config"
WAITING = {
    "nameserver": "10.9.9.9",
    "searchdomain": "x.y",
    "timezone": "Europe/Berlin",
    "tty": 1,
    "console": 0,
    "cmode": "shell",
    "entrypoint": "/sbin/init",
    "env": "A=1",
    "ostype": "alpine",
    "arch": "i386",
    "features": "nesting=1,keyctl=1",
    "debug": 1,
}
"""Stored for the next start by a real node (PVE 9.2.11, recorded)."""
AT_ONCE = {
    "hostname": "other",
    "cores": 1,
    "memory": 300,
    "swap": 64,
    "cpulimit": "1.5",
    "cpuunits": 77,
    "description": "x\ny ü\n",
    "startup": "order=4",
    "onboot": 1,
    "protection": 0,
    "tags": "a;b;c",
}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Log root in to a lab in which container 100 runs."""
    async with running_lab(tmp_path) as lab, root_client(lab) as opened:
        await started(opened, lab, hostname="web", rootfs="local-lvm:1")
        yield opened


async def read(client: httpx.AsyncClient, query: str = "") -> dict[str, Any]:
    """Read the config; the digest aside."""
    config: dict[str, Any] = (await client.get(f"{CONFIG}{query}")).json()["data"]
    return {key: value for key, value in config.items() if key != "digest"}


async def rows(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """Read what waits, by key, without those rows in which nothing does."""
    entries = (await client.get("/nodes/lab/lxc/100/pending")).json()["data"]
    return {row.pop("key"): row for row in entries if {"pending", "delete"} & set(row)}


async def put(client: httpx.AsyncClient, **form: Any) -> httpx.Response:
    """Change the config."""
    return await client.put(CONFIG, data=form)


async def act(client: httpx.AsyncClient, path: str, **form: Any) -> str:
    """Run a task to its end; give how it ended."""
    answer = await client.post(f"/nodes/lab/lxc/100/{path}", data=form)
    return await ended(client, answer.json()["data"])


async def test_what_cannot_be_taken_waits(client: httpx.AsyncClient) -> None:
    """The config shows the new value, `current` the old one, and `pending` both."""
    before = await read(client, "?current=1")

    answer = await put(client, **WAITING)
    shown, current, waiting = await read(client), await read(client, "?current=1"), await rows(client)

    assert answer.json() == {"data": None}
    assert {key: shown[key] for key in WAITING} == WAITING
    assert current == before
    assert {key: row["pending"] for key, row in waiting.items()} == WAITING
    assert waiting["ostype"]["value"] == before["ostype"]
    assert "value" not in waiting["nameserver"]


async def test_what_can_be_taken_is_there_at_once(client: httpx.AsyncClient) -> None:
    """Names, limits and notes don't wait."""
    await put(client, **AT_ONCE)

    current = await read(client, "?current=1")
    assert {key: current[key] for key in AT_ONCE} == AT_ONCE
    assert await rows(client) == {}


async def test_start_applies_what_waits(client: httpx.AsyncClient) -> None:
    """After a stop it still waits; the start makes it true."""
    await put(client, nameserver="10.9.9.9", delete="tags")
    await act(client, "status/stop")
    stopped = await rows(client)

    await act(client, "status/start")

    assert set(stopped) == {"nameserver"}
    assert await rows(client) == {}
    assert (await read(client, "?current=1"))["nameserver"] == "10.9.9.9"


async def test_stopped_container_takes_everything(client: httpx.AsyncClient) -> None:
    """Nothing waits for the start of a container that doesn't run."""
    await act(client, "status/stop")

    await put(client, **WAITING)

    current = await read(client, "?current=1")
    assert {key: current[key] for key in WAITING} == WAITING
    assert await rows(client) == {}


async def test_removal_waits_too(client: httpx.AsyncClient) -> None:
    """A removal that waits is marked; the config shows it as done."""
    await act(client, "status/stop")
    await put(client, nameserver="10.1.1.1", hostname="named")
    await act(client, "status/start")

    await put(client, delete="nameserver,hostname")

    assert await rows(client) == {"nameserver": {"value": "10.1.1.1", "delete": 1}}
    assert {"nameserver", "hostname"}.isdisjoint(await read(client))
    assert (await read(client, "?current=1"))["nameserver"] == "10.1.1.1"


async def test_removing_what_only_waits_leaves_it_waiting(client: httpx.AsyncClient) -> None:
    """Only `revert` takes a new value back (recorded)."""
    await put(client, nameserver="10.9.9.9", tty=1)

    await put(client, delete="nameserver")
    after_delete = await rows(client)
    await put(client, revert="nameserver,tty")

    assert after_delete["nameserver"] == {"pending": "10.9.9.9"}
    assert await rows(client) == {}
    assert "nameserver" not in await read(client)


async def test_the_present_value_is_no_change(client: httpx.AsyncClient) -> None:
    """Setting an option back takes out what waited."""
    await put(client, ostype="alpine")
    await put(client, ostype="debian")

    assert await rows(client) == {}


async def test_rollback_loses_what_waits(client: httpx.AsyncClient) -> None:
    """A snapshot knows nothing of what waits, and its config replaces it."""
    await put(client, nameserver="10.9.9.9")
    assert await act(client, "snapshot", snapname="before") == "OK"

    assert await act(client, "snapshot/before/rollback", start=1) == "OK"

    assert await rows(client) == {}
    assert "nameserver" not in await read(client)


async def test_restore_loses_what_waits(client: httpx.AsyncClient) -> None:
    """A backup has the config as it was, without what waited."""
    await put(client, nameserver="10.9.9.9")
    upid = (await client.post("/nodes/lab/vzdump", data={"vmid": 100, "storage": "local"})).json()["data"]
    assert await ended(client, upid) == "OK"
    content = (await client.get("/nodes/lab/storage/local/content?content=backup")).json()["data"]
    await act(client, "status/stop")

    form = {"vmid": 100, "ostemplate": content[0]["volid"], "restore": 1, "force": 1}
    upid = (await client.post("/nodes/lab/lxc", data=form)).json()["data"]

    assert await ended(client, upid) == "OK"
    assert await rows(client) == {}
    assert "nameserver" not in await read(client)


async def test_digest_counts_what_waits(client: httpx.AsyncClient) -> None:
    """A change against the digest of before something waited is refused."""
    before = (await client.get(CONFIG)).json()["data"]["digest"]

    await put(client, nameserver="10.9.9.9")
    late = await put(client, memory=256, digest=before)

    assert late.reason_phrase.startswith("detected modified configuration")


async def test_pending_outlives_the_lab(tmp_path: Path) -> None:
    """What waits is part of the config."""
    async with running_lab(tmp_path) as lab, root_client(lab) as client:
        await started(client, lab)
        await put(client, nameserver="10.9.9.9")

    async with running_lab(tmp_path) as lab, root_client(lab) as client:
        assert await rows(client) == {"nameserver": {"pending": "10.9.9.9"}}


@pytest.mark.parametrize(
    ("form", "status", "expected"),
    [
        ({"delete": "memory"}, 500, "unable to delete required option 'memory'"),
        ({"delete": "rootfs"}, 500, "unable to delete required option 'rootfs'"),
        ({"delete": "ostype"}, 500, "unable to delete required option 'ostype'"),
        ({"delete": "unprivileged"}, 500, "unable to delete read-only option: 'unprivileged'"),
        ({"unprivileged": 0}, 500, "unable to modify read-only option: 'unprivileged'"),
        ({"delete": "nope"}, 400, {"delete": "unknown option 'nope'"}),
        ({"revert": "nope"}, 400, {"revert": "unknown option 'nope'"}),
        (
            {"net9": "name=eth9,bridge=vmbr77"},
            400,
            {"net9": "unable to hotplug net9: bridge 'vmbr77' does not exist\n"},
        ),
        (
            {"mp0": "local:1,mp=/data"},
            400,
            {"mp0": "unable to hotplug mp0: failed to change apparmor profile: Invalid argument\n"},
        ),
        (
            {"mp0": "backup:1,mp=/x"},
            500,
            "storage 'backup' does not allow content type 'rootdir' (Container)",
        ),
        ({"dev0": "/dev/nope-nope"}, 500, "Device /dev/nope-nope does not exist"),
    ],
)
async def test_refused_changes_leave_nothing(
    client: httpx.AsyncClient, form: dict[str, Any], status: int, expected: str | dict[str, str]
) -> None:
    """A refusal names the option, and neither the config nor what waits has any of it."""
    before = await read(client)

    answer = await put(client, **form)

    assert answer.status_code == status
    assert (answer.json()["errors"] if status == 400 else answer.reason_phrase) == expected
    assert await read(client) == before
    assert await rows(client) == {}


async def test_root_file_system_that_is_none_is_met_by_the_next_start(client: httpx.AsyncClient) -> None:
    """`rootfs: local:1` is taken; the disk that is there can grow until the start, which then fails."""
    assert (await put(client, rootfs="local:1")).status_code == 200
    present = (await rows(client))["rootfs"]
    grown = await client.put("/nodes/lab/lxc/100/resize", data={"disk": "rootfs", "size": "2G"})
    grown_status = await ended(client, grown.json()["data"])
    await act(client, "status/stop")

    start = await act(client, "status/start")
    resize = await client.put("/nodes/lab/lxc/100/resize", data={"disk": "rootfs", "size": "5G"})

    assert present == {"value": "local-lvm:vm-100-disk-0,size=1G", "pending": "local:1"}
    assert grown_status == "OK"
    assert start == resize.reason_phrase == "unable to parse directory volume name '1'"


@pytest.mark.parametrize(
    ("had", "form", "status"),
    [
        ("nesting=1,keyctl=1", {"features": "nesting=1"}, 403),
        ("nesting=1,keyctl=1", {"features": "keyctl=1"}, 200),
        ("nesting=1,keyctl=1", {"features": "nesting=1,keyctl=1,fuse=1"}, 403),
        ("nesting=1,keyctl=1", {"delete": "features"}, 403),
        ("nesting=1", {"delete": "features"}, 200),
        ("nesting=1", {"features": "nesting=0"}, 200),
        ("nesting=1", {"features": "fuse=1"}, 403),
    ],
)
async def test_token_may_change_only_nesting(
    tmp_path: Path, had: str, form: dict[str, str], status: int
) -> None:
    """The old set of features counts as much as the new one."""
    async with running_lab(tmp_path) as lab:
        async with root_client(lab) as root:
            await new_container(root, lab, features=had)
        async with api_client(lab) as client:
            answer = await client.put(CONFIG, data=form)

    assert answer.status_code == status
    if status == 403:
        assert "changing feature flags (except nesting) is only allowed for root@pam" in answer.text


async def test_token_may_change_no_feature_of_a_privileged_container(tmp_path: Path) -> None:
    """Not even nesting."""
    async with running_lab(tmp_path) as lab:
        async with root_client(lab) as root:
            await new_container(root, lab, features="nesting=1", unprivileged=0)
        async with api_client(lab) as client:
            answer = await client.put(CONFIG, data={"features": "nesting=1"})

    message = "changing feature flags for privileged container is only allowed for root@pam"
    assert answer.reason_phrase == f"Permission check failed ({message})"


async def test_pct_shows_what_waits(tmp_path: Path) -> None:
    """`pct set` waits like the API; `pct config` and `pct pending` show it as a real node does."""
    async with running_lab(tmp_path) as lab, root_client(lab) as client:
        await started(client, lab)
        await pct(lab, "set 100 --nameserver 10.9.9.9 --ostype alpine")
        shown, current = await pct(lab, "config 100"), await pct(lab, "config 100 --current")
        waiting = await pct(lab, "pending 100")
        await pct(lab, "set 100 --revert nameserver,ostype")
        after = await pct(lab, "pending 100")

    assert "nameserver: 10.9.9.9\n" in shown
    assert "ostype: alpine\n" in shown
    assert "nameserver" not in current
    assert "cur ostype: debian\nnew ostype: alpine\n" in waiting
    assert "new nameserver: 10.9.9.9\n" in waiting
    assert "new " not in after


async def pct(lab: Lab, line: str) -> str:
    """Run `pct` as root; give what it says."""
    async with ssh_client(lab) as root:
        return str((await root.run(f"pct {line}", check=True)).stdout)
