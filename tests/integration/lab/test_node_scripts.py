"""The programs of a node that root's scripts call while they run."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway.lab.node import Lab
from support.lab import api_client, new_container, running_lab, ssh_client, started

ARCHIVE = "debian-13-standard_13.1-2_amd64.tar.zst"
TEMPLATES = "pvesh get /nodes/lab/storage/local/content --content vztmpl --output-format json"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Run a lab with container 100 running and 101 stopped."""
    async with running_lab(tmp_path) as running, api_client(running) as client:
        await started(client, running, 100)
        await new_container(client, running, 101)
        yield running


async def run(lab: Lab, text: str) -> tuple[int | None, str, str]:
    """Run a script as root; give exit code and outputs."""
    async with ssh_client(lab) as root:
        done = await root.run("sh -s", input=text)
    return done.exit_status, str(done.stdout), str(done.stderr)


async def test_a_script_goes_on_with_what_a_call_came_to(lab: Lab) -> None:
    """Exit codes, outputs and the input of `pct exec` are the script's, call after call."""
    text = (
        "pct status 100\n"
        "head -c 300000 /dev/urandom >/tmp/sent\n"
        "pct exec 100 -- cat </tmp/sent | cmp - /tmp/sent && echo same\n"
        "pct exec 101 -- true </dev/null || echo $?\n"
        "pct exec 100 -- sh -c 'exit 7' </dev/null\n"
    )

    assert await run(lab, text) == (
        7,
        "status: running\nsame\n255\n",
        "container '101' not running!\n",
    )


async def test_a_template_is_downloaded_and_made_a_container(lab: Lab) -> None:
    """`pveam` and `pct create` wait for their tasks; the API shows what they made."""
    text = (
        f"set -e\n{TEMPLATES} | grep -q {ARCHIVE} && exit 9\n"
        f"pveam available --section system | grep {ARCHIVE}\npveam download local {ARCHIVE} >/dev/null\n"
        f"{TEMPLATES} | grep -q {ARCHIVE}\n"
        f"pct create 102 local:vztmpl/{ARCHIVE} --hostname made --rootfs local:1 --features nesting=1\n"
        "pct config 102 | grep ^hostname"
    )

    code, output, errors = await run(lab, text)

    assert (code, errors) == (0, "")
    assert output.startswith(f"system          {ARCHIVE}\n")
    assert output.endswith("hostname: made\n")


@pytest.mark.parametrize(
    ("line", "errors"),
    [
        ("pct create 101 local:vztmpl/x.tar.gz", "CT 101 already exists on node 'lab'\n"),
        (
            "pct create 102 local:vztmpl/x.tar.gz",
            "unable to create CT 102 - volume 'local:vztmpl/x.tar.gz' does not exist\n",
        ),
        ("pvesh get /nope --output-format json", "No 'get' handler defined for '/nope'\n"),
        (
            "pvesh get /cluster/nextid --vmid 101 --output-format json",
            "400 Parameter verification failed.\nvmid: VM 101 already exists\n",
        ),
        (
            f"pveam download backup {ARCHIVE}",
            "storage 'backup' does not support templates\n",
        ),
    ],
)
async def test_what_can_not_be_is_refused(lab: Lab, line: str, errors: str) -> None:
    """With 255 and the words of the API."""
    assert await run(lab, line) == (255, "", errors)
