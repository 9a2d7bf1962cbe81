"""The script that gives Slipway its way into Proxmox, in a guest, with a `pveum` that only notes its orders.

What a real node makes of these orders is not tried here.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from slipway.contracts.tiers import TIERS, Tier
from slipway.gateway.cluster_bodies import ClusterBody
from slipway.lab.access.actors import SERVICE_ACL
from slipway.lab.guests.protocol import Guests
from support.guest_specs import Ran, run, script, spec, wait_until_ready

HOWTO = Path(__file__).parents[3] / "docs/howto/real-proxmox.md"
SCRIPT = Path(__file__).parents[3] / "infra/proxmox/make-token.sh"
PVEUM = """#!/bin/sh
echo "$*" >>/root/orders
case "$*" in
    "user list"*) cat /root/users 2>/dev/null | sed 's/.*/"userid":"&",/' ;;
    "user add"*) echo "$3" >>/root/users ;;
    "role add"*) [ ! -e /root/again ] || { echo "role exists" >&2; exit 255; } ;;
    "role delete"*-Watch) echo "delete role failed: role '$3' does not exist" >&2; exit 255 ;;
    "user token add"*) printf '{"full-tokenid":"%s!main",\\n"info":{},"value":"s3cret"}\\n' "$4" ;;
esac
"""
NODE = """
set -e
mkdir -p /etc/pve/local /etc/ssh /root/.ssh
cd /etc/pve
cat >/usr/sbin/pveum && chmod +x /usr/sbin/pveum
ssh-keygen -q -t ed25519 -N '' -C root@node -f /etc/ssh/ssh_host_ed25519_key
printf '[req]\\ndistinguished_name=d\\n[d]\\n[ca]\\nbasicConstraints=critical,CA:true\\n' >/tmp/config
printf 'subjectAltName=IP:10.0.0.2,DNS:node\\n' >/tmp/san
openssl req -x509 -config /tmp/config -extensions ca -newkey rsa:2048 -nodes -subj /CN=CA 2>&1 \\
    -keyout /tmp/ca -out pve-root-ca.pem
openssl req -new -config /tmp/config -newkey rsa:2048 -nodes -subj /CN=node 2>&1 \\
    -keyout /tmp/key -out /tmp/request
openssl x509 -req -in /tmp/request -CA pve-root-ca.pem -CAkey /tmp/ca -CAcreateserial 2>&1 \\
    -extfile /tmp/san -out local/pve-ssl.pem
rm /tmp/key /tmp/ca
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


async def make(node: Guests, *settings: str) -> tuple[dict[str, Any], str]:
    """Run the script as the howto does, with words of the login shell before; return body and messages."""
    (line,) = (line for line in HOWTO.read_text().splitlines() if "make-token.sh |" in line)
    only_body = line.partition("|")[2].partition(">")[0]
    variables = ("ADDRESS=10.0.0.2", *settings)
    command = f"(printf 'Welcome to {{pve}}\\n'; exec env \"$@\" sh -s) | {only_body}"
    ran = await run(node, 100, "sh", "-ec", command, "sh", *variables, stdin=SCRIPT.read_bytes())
    assert ran.code == 0, ran.errors
    printed: dict[str, Any] = json.loads(ran.output)
    return printed, ran.errors


def id_of(printed: dict[str, Any]) -> str:
    """Read the id from the token's name."""
    user = str(printed["token_id"]).removesuffix("@pve!main")
    assert user.startswith("slipway-")
    return user.removeprefix("slipway-")


async def keys(node: Guests) -> list[str]:
    """Who may come in as root, by the comments of the keys."""
    lines = (await script(node, 100, "cat /root/.ssh/authorized_keys")).output.splitlines()
    return [line.split()[-1] for line in lines]


async def orders(node: Guests) -> list[str]:
    """What was asked of `pveum`, from now on."""
    return (await script(node, 100, "cat /root/orders; : >/root/orders")).output.splitlines()


def rights(asked: list[str]) -> dict[str, frozenset[str]]:
    """What the user may on each path, after orders that were given to `pveum`."""
    made = [each.split() for each in asked if each.startswith(("role add", "role modify"))]
    roles = {words[2]: frozenset(words[4].split(",")) for words in made}
    changes = (each.split() for each in asked if each.startswith("acl modify"))
    return {words[2]: roles[words[-1]] for words in changes}


async def test_prints_the_body_of_a_cluster(node: Guests) -> None:
    """What it prints is a request that the API takes, with the cluster's own CA and the node's host key."""
    printed, messages = await make(node)
    host_key = (await script(node, 100, "cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub")).output.strip()
    ca = (await script(node, 100, "cat /etc/pve/pve-root-ca.pem")).output

    cluster = ClusterBody.model_validate(printed)

    assert cluster.endpoint == "https://10.0.0.2:8006"
    assert printed["token_secret"] == "s3cret"
    assert (cluster.ca, cluster.tls_fingerprint) == (ca, None)
    assert [each["host_key"] for each in printed["ssh"]["nodes"].values()] == [host_key]
    assert messages.startswith(f"make-token: the id of this Slipway is {id_of(printed)}\n")
    assert f"token {printed['token_id']} made" in messages
    assert "s3cret" not in messages


@pytest.mark.parametrize("setting", ["ADDRESS=10.0.0.3", "CUSTOM"])
async def test_pins_the_certificate_where_the_ca_says_nothing_about_it(node: Guests, setting: str) -> None:
    """Another address than the certificate's, or a certificate that somebody has put there."""
    if setting == "CUSTOM":
        await script(node, 100, "cp /etc/pve/local/pve-ssl.pem /etc/pve/local/pveproxy-ssl.pem")

    printed, messages = await make(node, *([setting] if "=" in setting else []))

    assert len(printed["tls_fingerprint"].split(":")) == 32
    assert "ca" not in printed
    assert "send its new fingerprint when it is renewed" in messages


async def test_gives_what_slipway_needs_and_no_more(node: Guests) -> None:
    """Each role is what the lab's own account may on that path; the token may what the user may."""
    printed, _ = await make(node)
    asked = await orders(node)
    assert rights(asked) == SERVICE_ACL == TIERS[Tier.FULL].privileges
    assert f"user token add slipway-{id_of(printed)}@pve main --privsep 0 --output-format json" in asked


@pytest.mark.parametrize("tier", [Tier.OBSERVE, Tier.OPERATE])
async def test_a_lower_tier_has_its_privileges_and_no_key(node: Guests, tier: Tier) -> None:
    """A run under the same id at a lower tier takes away all that the tier before had."""
    await make(node, "ID=mine")
    await orders(node)
    await script(node, 100, "touch /root/again")

    printed, messages = await make(node, "ID=mine", f"TIER={tier}")

    asked = await orders(node)
    assert rights(asked) == TIERS[tier].privileges
    assert asked.index("user delete slipway-mine@pve") < asked.index(
        "user add slipway-mine@pve --comment Slipway"
    )
    assert (printed["tier"], "ssh" in printed, await keys(node)) == (tier, False, ["somebody@else"])
    assert ClusterBody.model_validate(printed).tier is tier
    assert "no SSH key" in messages


async def test_limits_bind_the_key_and_a_pool_the_token_too(node: Guests) -> None:
    """Without limits the script says loudly what the key can do; once bound, it stays so."""
    _, loud = await make(node, "ID=mine")
    await orders(node)
    await make(node, "ID=mine", "POOL=slipway", "MOUNTS=/srv /mnt/data")
    await make(node, "ID=mine", "DEVICES=/dev/dri")
    line = (await script(node, 100, "tail -n 1 /root/.ssh/authorized_keys")).output
    limits = (await script(node, 100, "sed '1,/^__DATA__/d' /etc/pve/priv/slipway-mine")).output

    asked = rights(await orders(node))
    assert "WARNING: THE SSH KEY IS NOT BOUND" in loud
    assert line.startswith('restrict,command="/usr/bin/perl -T /etc/pve/priv/slipway-mine" ssh-ed25519 AAAA')
    assert limits.splitlines() == ["pool slipway", "mount /srv", "mount /mnt/data", "device /dev/dri"]
    assert asked["/vms"] == {"VM.Audit"}
    assert asked["/pool/slipway"] == SERVICE_ACL["/vms"] | {"Pool.Audit"}


async def test_another_slipway_is_left_as_it_is(node: Guests) -> None:
    """A run without an id has one of its own: its names are in all that it makes, changes and removes."""
    first, _ = await make(node)
    await orders(node)
    second, _ = await make(node)
    own = f"slipway-{id_of(second)}"

    changes = [each for each in await orders(node) if each != "user list --output-format json"]
    assert id_of(first) != id_of(second)
    assert [each for each in changes if own not in each] == []
    assert await keys(node) == ["somebody@else", f"slipway-{id_of(first)}", own]


async def test_the_same_id_makes_its_own_anew(node: Guests) -> None:
    """It replaces its own SSH key, leaves the others', and keeps no private one on the node."""
    other, _ = await make(node)
    first, _ = await make(node, "ID=mine")
    await script(node, 100, "touch /root/again")
    second, _ = await make(node, "ID=mine")
    left = await script(node, 100, "grep -rl 'PRIVATE KEY' /root /tmp /var/tmp 2>/dev/null")

    asyncssh.import_private_key(second["ssh"]["private_key"])
    assert first["ssh"]["private_key"] != second["ssh"]["private_key"]
    assert second["token_id"] == "slipway-mine@pve!main"
    assert await keys(node) == ["somebody@else", f"slipway-{id_of(other)}", "slipway-mine"]
    assert left.output == ""
    assert "role modify slipway-mine-Guests" in "\n".join(await orders(node))


async def test_takes_away_what_was_made_under_an_id(node: Guests) -> None:
    """The user, with its token and rights, the roles and the key, also a bound one; nothing of others."""
    other, _ = await make(node)
    await make(node, "ID=mine", "VMIDS=100-199")
    await orders(node)
    ran = await run(node, 100, "env", "ID=mine", "sh", "-s", "remove", stdin=SCRIPT.read_bytes())

    assert (ran.code, ran.errors) == (0, "make-token: what was made under the id mine is gone\n")
    assert await keys(node) == ["somebody@else", f"slipway-{id_of(other)}"]
    roles = [
        f"role delete slipway-mine-{each}"
        for each in ("Nodes", "Guests", "Storage", "Network", "Pools", "Watch")
    ]
    changes = [each for each in await orders(node) if not each.startswith("user list")]
    assert changes == ["user delete slipway-mine@pve", *roles]


@pytest.mark.parametrize("setting", ["ID=a-b", "ID=A", "ID=aaaaaaaaaaaaaaaaaaaaa", 'NAME=a"b'])
async def test_odd_names_are_refused_before_anything_is_made(node: Guests, setting: str) -> None:
    """They would end up in names, files and JSON."""
    ran: Ran = await run(node, 100, "env", setting, "sh", "-s", stdin=SCRIPT.read_bytes())

    assert (ran.code, ran.output) == (1, "")
    assert await keys(node) == ["somebody@else"]


async def test_elsewhere_it_says_so(node: Guests) -> None:
    """Without `pveum` nothing is made."""
    await script(node, 100, "rm /usr/sbin/pveum")
    ran: Ran = await run(node, 100, "sh", "-s", stdin=SCRIPT.read_bytes())

    assert ran.code == 1
    assert ran.errors == "make-token: there is no pveum: run this on a node of Proxmox VE\n"
    assert await keys(node) == ["somebody@else"]
