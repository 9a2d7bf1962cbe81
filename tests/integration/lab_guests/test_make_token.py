"""The script that gives Slipway its way into Proxmox, in a guest, with a `pveum` that only notes its orders.

What a real node makes of these orders is not tried here.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from slipway.gateway.http.bodies import ClusterBody
from slipway.lab.access.actors import SERVICE_ACL
from slipway.lab.guests.protocol import Guests
from support.guest_specs import Ran, run, script, spec, wait_until_ready

SCRIPT = Path(__file__).parents[3] / "infra/proxmox/make-token.sh"
PVEUM = """#!/bin/sh
echo "$*" >>/root/orders
case "$*" in
    "user list"*) echo '[{"userid":"root@pam"}]' ;;
    "role add"*) [ ! -e /root/again ] || { echo "role exists" >&2; exit 255; } ;;
    "user token add"*) printf '{"full-tokenid":"slipway@pve!main",\\n"info":{},"value":"s3cret"}\\n' ;;
esac
"""
NODE = """
set -e
mkdir -p /etc/pve/local /etc/ssh /root/.ssh
cat >/usr/sbin/pveum && chmod +x /usr/sbin/pveum
ssh-keygen -q -t ed25519 -N '' -C root@node -f /etc/ssh/ssh_host_ed25519_key
printf '[req]\\ndistinguished_name=d\\n[d]\\n' >/tmp/config
openssl req -x509 -config /tmp/config -newkey rsa:2048 -nodes -subj /CN=node -keyout /tmp/key 2>&1 \\
    -out /etc/pve/local/pve-ssl.pem
rm /tmp/key
echo 'ssh-ed25519 AAAA somebody@else' >/root/.ssh/authorized_keys
"""


@pytest.fixture
async def node(simulated: Guests) -> AsyncIterator[Guests]:
    """A guest with the files of a node that the script reads."""
    await simulated.create(spec((await simulated.templates())[0]))
    await simulated.start(100)
    await wait_until_ready(simulated, 100)
    made = await run(simulated, 100, "sh", "-c", NODE, stdin=PVEUM.encode())
    assert made.code == 0, made.errors
    yield simulated
    await simulated.stop(100)


async def make(node: Guests) -> dict[str, Any]:
    """Run the script as the howto does; give what it printed."""
    ran = await run(node, 100, "env", "ADDRESS=10.0.0.2", "sh", "-s", stdin=SCRIPT.read_bytes())
    assert ran.code == 0, ran.errors
    printed: dict[str, Any] = json.loads(ran.output)
    return printed


async def keys(node: Guests) -> list[str]:
    """Who may come in as root."""
    return (await script(node, 100, "cat /root/.ssh/authorized_keys")).output.splitlines()


async def test_prints_the_body_of_a_cluster(node: Guests) -> None:
    """What it prints is a request that the API takes, with this node's own fingerprint and host key."""
    printed = await make(node)
    host_key = (await script(node, 100, "cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub")).output.strip()

    cluster = ClusterBody.model_validate(printed)

    assert cluster.endpoint == "https://10.0.0.2:8006"
    assert printed["token_id"] == "slipway@pve!main"
    assert printed["token_secret"] == "s3cret"
    assert len(printed["tls_fingerprint"].split(":")) == 32
    assert [each["host_key"] for each in printed["ssh"]["nodes"].values()] == [host_key]


async def test_gives_what_slipway_needs_and_no_more(node: Guests) -> None:
    """Each role is what the lab's own account may on that path; the token may what the user may."""
    await make(node)
    orders = (await script(node, 100, "cat /root/orders")).output.splitlines()
    roles = {
        each.split()[2]: set(each.split()[4].split(",")) for each in orders if each.startswith("role add")
    }
    paths = {each.split()[2]: each.split()[-1] for each in orders if each.startswith("acl modify")}

    assert set(paths) == set(SERVICE_ACL)
    assert [path for path, role in paths.items() if roles[role] != SERVICE_ACL[path]] == []
    assert "user token add slipway@pve main --privsep 0 --output-format json" in orders


async def test_again_makes_the_keys_anew(node: Guests) -> None:
    """A second run replaces its own SSH key, leaves the others', and keeps no private one on the node."""
    first = await make(node)
    await script(node, 100, "touch /root/again")
    second = await make(node)
    left = await script(node, 100, "grep -rl 'PRIVATE KEY' /root /tmp /var/tmp 2>/dev/null")
    orders = (await script(node, 100, "cat /root/orders")).output

    public = asyncssh.import_private_key(second["ssh"]["private_key"]).export_public_key().decode().split()[1]
    assert first["ssh"]["private_key"] != second["ssh"]["private_key"]
    assert [each.split()[1] for each in await keys(node)] == ["AAAA", public]
    assert left.output == ""
    assert "role modify SlipwayGuests" in orders


async def test_elsewhere_it_says_so(node: Guests) -> None:
    """Without `pveum` nothing is made."""
    await script(node, 100, "rm /usr/sbin/pveum")
    ran: Ran = await run(node, 100, "sh", "-s", stdin=SCRIPT.read_bytes())

    assert ran.code == 1
    assert ran.errors == "make-token: there is no pveum: run this on a node of Proxmox VE\n"
    assert len(await keys(node)) == 1
