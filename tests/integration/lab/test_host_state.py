"""What is stored of containers: backups with notes and protection, restores that fail, templates, logs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.lab.faults import TaskHangs
from slipway.lab.host.storages import Storage
from slipway.lab.node import Lab
from support.lab import ended, new_container, root_client, running_lab, started

STORAGE = "/nodes/lab/storage/local/content"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Run a lab."""
    async with running_lab(tmp_path) as running:
        yield running


@pytest.fixture
async def client(lab: Lab) -> AsyncIterator[httpx.AsyncClient]:
    """Log root in."""
    async with root_client(lab) as opened:
        yield opened


async def task(client: httpx.AsyncClient, path: str, **form: Any) -> str:
    """Run a task to its end; give how it ended."""
    answer = await client.post(path, data=form)
    assert answer.status_code == 200, answer.text
    return await ended(client, answer.json()["data"])


async def backed_up(client: httpx.AsyncClient, **options: Any) -> str:
    """Back container 100 up; give the archive's name as a volume."""
    assert await task(client, "/nodes/lab/vzdump", vmid=100, storage="local", **options) == "OK"
    rows = (await client.get(f"{STORAGE}?content=backup")).json()["data"]
    return str(rows[-1]["volid"])


async def restored(client: httpx.AsyncClient, volid: str) -> str:
    """Restore container 100 in its place; give how the task ended."""
    return await task(client, "/nodes/lab/lxc", vmid=100, ostemplate=volid, restore=1, force=1)


def archive(lab: Lab, volid: str) -> Path:
    """Return the file behind a backup."""
    return lab.data / "dump" / "local" / volid.rpartition("/")[2]


async def test_notes_and_protection_of_a_backup(lab: Lab, client: httpx.AsyncClient) -> None:
    """They are shown and changed; a protected one is not removed."""
    await new_container(client, lab, hostname="web")
    volid = await backed_up(client, **{"notes-template": "{{guestname}}\\n{{ vmid }}", "compress": "zstd"})
    url = f"{STORAGE}/{volid.replace('/', '%2F')}"

    before = (await client.get(url)).json()["data"]
    await client.put(url, data={"notes": "neu ü", "protected": 1})
    after = (await client.get(url)).json()["data"]
    row = (await client.get(f"{STORAGE}?content=backup")).json()["data"][0]
    refused = await ended(client, (await client.delete(url)).json()["data"])
    await client.put(url, data={"protected": 0})
    removed = await client.delete(f"{url}?delay=5")

    assert (before["notes"], before["protected"], before["format"]) == ("web\n{{ vmid }}", 0, "raw")
    assert before["path"] == f"/var/lib/vz/dump/{volid.rpartition('/')[2]}"
    assert (after["notes"], after["protected"]) == ("neu ü", 1)
    assert (row["notes"], row["protected"]) == ("neu ü", 1)
    assert refused == f"cannot remove protected volume 'backup/{volid.rpartition('/')[2]}' on 'local'"
    assert removed.json() == {"data": None}
    gone = await client.get(url)
    assert gone.reason_phrase == f"volume_size_info on '{volid}' failed - no format"


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{{word}}", "found unknown: variable 'word' at char 4\n"),
        (r"a\x {{b}}", r"found unknown: escape sequence '\x' at char 1, variable 'b' at char 8" + "\n"),
        ("a\nb", "contains a line feed\n"),
        ("x" * 1025, "value may only be 1024 characters long"),
    ],
)
async def test_notes_templates_are_checked_at_the_request(
    client: httpx.AsyncClient, template: str, error: str
) -> None:
    """What can't be filled in is named before a task begins."""
    form = {"vmid": 100, "storage": "local", "notes-template": template}
    answer = await client.post("/nodes/lab/vzdump", data=form)

    assert answer.status_code == 400
    assert answer.json()["errors"] == {"notes-template": error}


async def test_restore_of_a_damaged_archive_leaves_nothing(lab: Lab, client: httpx.AsyncClient) -> None:
    """The old disk and config are gone before the archive is unpacked; the task's error is a tar command."""
    await new_container(client, lab)
    volid = await backed_up(client, compress="zstd")
    damaged = archive(lab, volid)
    damaged.write_bytes(damaged.read_bytes()[:600])

    status = await restored(client, volid)

    assert status.startswith("unable to restore CT 100 - command 'lxc-usernsexec ")
    assert status.endswith("' failed: exit code 2")
    assert (await client.get("/nodes/lab/lxc/100/config")).status_code == 500
    assert (await client.get(f"{STORAGE}?vmid=100&content=rootdir")).json()["data"] == []
    assert (await client.get("/cluster/nextid")).json()["data"] == "100"


async def test_restore_of_what_is_no_archive_leaves_the_container(
    lab: Lab, client: httpx.AsyncClient
) -> None:
    """Where not even the config can be read nothing has changed yet, and the lock is gone."""
    await new_container(client, lab)
    volid = await backed_up(client)
    before = (await client.get("/nodes/lab/lxc/100/config")).json()["data"]
    archive(lab, volid).write_bytes(b"nonsense" * 200)

    status = await restored(client, volid)

    assert status == "unable to restore CT 100 - ERROR: archive contains no configuration file"
    assert (await client.get("/nodes/lab/lxc/100/config")).json()["data"] == before


async def test_restore_in_place_makes_new_disks_first(lab: Lab, client: httpx.AsyncClient) -> None:
    """The new disk has another number than the one that it replaces, which then goes."""
    await new_container(client, lab, rootfs="local-lvm:1")
    volid = await backed_up(client)

    status = await task(
        client, "/nodes/lab/lxc", vmid=100, ostemplate=volid, restore=1, force=1, storage="local-lvm"
    )
    config = (await client.get("/nodes/lab/lxc/100/config")).json()["data"]

    assert status == "OK"
    assert config["rootfs"] == "local-lvm:vm-100-disk-1,size=1G"


async def test_template_is_never_started_and_copied_by_links(lab: Lab, client: httpx.AsyncClient) -> None:
    """Its disk becomes a base; where storages have no links a copy must be asked for as a full one."""
    await started(client, lab, rootfs="local:1")
    running = await client.post("/nodes/lab/lxc/100/template")
    await task(client, "/nodes/lab/lxc/100/status/stop")

    made = await client.post("/nodes/lab/lxc/100/template")
    again = await client.post("/nodes/lab/lxc/100/template")
    config = (await client.get("/nodes/lab/lxc/100/config")).json()["data"]
    start = await task(client, "/nodes/lab/lxc/100/status/start")
    linked = await client.post("/nodes/lab/lxc/100/clone", data={"newid": 101})
    full = await task(client, "/nodes/lab/lxc/100/clone", newid=101, full=1)

    assert running.reason_phrase == "you can't convert a CT to template if the CT is running"
    assert made.json() == {"data": None}
    assert again.reason_phrase == "you can't convert a template to a template"
    assert (config["template"], config["rootfs"]) == (1, "local:100/base-100-disk-0.raw,size=1G")
    assert start == "you can't start a CT if it's a template"
    message = "Linked clone feature for 'local:100/base-100-disk-0.raw' is not available"
    assert linked.reason_phrase == message
    assert full == "OK"


async def test_disk_without_a_size_is_a_folder(lab: Lab, client: httpx.AsyncClient) -> None:
    """`rootfs=local:0` is taken, and takes what the storage has."""
    await new_container(client, lab, rootfs="local:0")

    config = (await client.get("/nodes/lab/lxc/100/config")).json()["data"]
    assert config["rootfs"] == "local:100/subvol-100-disk-0.subvol,size=0T"


async def test_log_without_a_line_is_shown_with_one(lab: Lab, client: httpx.AsyncClient) -> None:
    """`no content` has the number of the first line, which comes later in its place."""
    await new_container(client, lab)
    lab.faults.order(TaskHangs(task="vzstart", seconds=None))
    upid = (await client.post("/nodes/lab/lxc/100/status/start")).json()["data"]
    url = f"/nodes/lab/tasks/{upid}"

    at_once = [(await client.get(f"{url}/log{query}")).json() for query in ("", "?start=1", "?limit=0")]
    await client.delete(url)
    after = (await client.get(f"{url}/log")).json()

    assert at_once == [{"data": [{"n": 1, "t": "no content"}], "total": 1}] * 3
    assert after["data"] == [{"n": 1, "t": "TASK ERROR: received interrupt"}]


@pytest.mark.parametrize(
    ("query", "left"), [("", ["local-lvm:vm-100-disk-0"]), ("?destroy-unreferenced-disks=1", [])]
)
async def test_destroy_leaves_disks_that_no_config_has(
    lab: Lab, client: httpx.AsyncClient, query: str, left: list[str]
) -> None:
    """Unless they are asked for; those that were detached are in the config, and go."""
    await new_container(client, lab, rootfs="local-lvm:1", mp0="local-lvm:1,mp=/data")
    config = "/nodes/lab/lxc/100/config"
    await client.put(config, data={"delete": "mp0"})
    detached = (await client.get(config)).json()["data"]["unused0"]
    await client.put(config, data={"rootfs": f"{detached},size=1G"})

    done = await ended(client, (await client.delete(f"/nodes/lab/lxc/100{query}")).json()["data"])

    rows = (await client.get("/nodes/lab/storage/local-lvm/content")).json()["data"]
    assert done == "OK"
    assert [row["volid"] for row in rows] == left


@pytest.mark.parametrize(
    ("size", "line", "command"),
    [
        (2000, "mkfs.ext4: No space left on device while writing out and closing file system", "mkfs.ext4"),
        (4, "tar: ./usr/bin/perl: Cannot write: No space left on device", "lxc-usernsexec"),
    ],
)
async def test_disk_without_room_is_met_in_the_task(
    tmp_path: Path, size: int, line: str, command: str
) -> None:
    """Any size is taken at first; the cause stands in the log, and nothing of the container stays."""
    small = Storage(
        name="local", type="dir", content=("backup", "rootdir", "vztmpl"), total_bytes=240 << 20, path="/x"
    )
    async with running_lab(tmp_path, storages=[small]) as lab, root_client(lab) as client:
        template = (await client.get(f"{STORAGE}?content=vztmpl")).json()["data"][0]["volid"]
        form = {"vmid": 100, "ostemplate": template, "rootfs": f"local:{size}"}
        upid = (await client.post("/nodes/lab/lxc", data=form)).json()["data"]
        status = await ended(client, upid)
        log = (await client.get(f"/nodes/lab/tasks/{upid}/log?limit=0")).json()["data"]
        left = await client.get("/nodes/lab/lxc/100/config")

    assert status.startswith(f"unable to create CT 100 - command '{command} ")
    assert line in [row["t"] for row in log]
    assert left.status_code == 500
