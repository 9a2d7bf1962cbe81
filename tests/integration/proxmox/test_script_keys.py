"""What the token script does to root's keys on a node, and what is left of it when it is cut off."""

from pathlib import Path

import pytest

from slipway.lab.node import Lab
from support.bound_key import PretendNode, bind_key, run_script

ODD = b"# by hand\n\nssh-rsa AAAA a@b\r\n\0not a key\xff\nssh-rsa AAAA slipway-testing\nssh-rsa AAAA last"
LOCKED = """#!/bin/sh
case "$*" in
    "user list"*) echo '[{"userid":"slipway-test@pve"}]' ;;
    "user delete"*) echo "cfs-lock 'file-user_cfg' error: got lock request timeout" >&2; exit 255 ;;
esac
"""
CUT_OFF = """#!/bin/sh
kill -HUP "$PPID"
exit 1
"""


@pytest.fixture
def keys(lab: Lab) -> Path:
    """Root's keys where the cluster has them, with the link to them; some lines are none of ours to read."""
    host = lab.data / "host"
    shared, link = host / "etc/pve/priv/authorized_keys", host / "root/.ssh/authorized_keys"
    for path in (shared, link):
        path.parent.mkdir(parents=True, exist_ok=True)
    shared.write_bytes(ODD)
    link.unlink(missing_ok=True)
    link.symlink_to("../../etc/pve/priv/authorized_keys")
    return shared


async def test_keys_of_others_stay_as_they_are(lab: Lab, keys: Path) -> None:
    """Byte by byte, in the cluster's file that the link leads to; the last line gets its end."""
    await bind_key(PretendNode.of(lab), VMIDS="100")
    made = keys.read_bytes()
    removed = await run_script(PretendNode.of(lab), "remove")

    assert removed.code == 0, removed.errors
    assert made.startswith(ODD + b'\nrestrict,command="')
    assert keys.read_bytes() == ODD + b"\n"
    assert (lab.data / "host/root/.ssh/authorized_keys").is_symlink()
    assert sorted(each.name for each in keys.parent.iterdir()) == ["authorized_keys"]


async def test_a_connection_that_is_lost_leaves_no_private_key(lab: Lab, keys: Path) -> None:
    """The script is hung up on after it has made a key, before it has printed it."""
    host = lab.data / "host"
    (host / "tmp").mkdir(exist_ok=True)
    openssl = host / "root/bin/openssl"
    openssl.parent.mkdir(parents=True, exist_ok=True)
    openssl.write_text(CUT_OFF)
    openssl.chmod(0o755)

    cut = await run_script(PretendNode.of(lab), VMIDS="100")

    assert (cut.code, cut.out) == (1, b"")
    assert b"slipway-test" in keys.read_bytes()
    assert b"not finished: run it again with ID=test" in cut.errors
    assert list((host / "tmp").iterdir()) == []


async def test_a_key_that_replaces_a_bound_one_is_bound_too(lab: Lab, keys: Path) -> None:
    """New access beside the old one has its limits, unless others are given."""
    node = PretendNode.of(lab)
    await bind_key(node, VMIDS="100-101,300", MOUNTS="/srv")

    same = await run_script(node, ID="new", LIKE="test")
    other = await run_script(node, ID="newer", LIKE="test", VMIDS="200")

    assert (same.code, other.code) == (0, 0), (same.errors, other.errors)
    texts = [(keys.parent / f"slipway-{each}").read_text() for each in ("new", "newer")]
    limits = [text.partition("__DATA__\n")[2].splitlines() for text in texts]
    assert limits == [["vmids 100-101", "vmids 300", "mount /srv"], ["vmids 200"]]
    assert b'restrict,command="/usr/bin/perl -T /etc/pve/priv/slipway-new" ssh' in keys.read_bytes()


async def test_a_token_that_is_left_is_not_said_to_be_gone(lab: Lab, keys: Path) -> None:
    """The key goes, and the script says by its exit code that the user does not."""
    await bind_key(PretendNode.of(lab), VMIDS="100")

    removed = await run_script(PretendNode.of(lab), "remove", pveum=LOCKED)

    assert removed.code == 1
    assert b"the user slipway-test@pve with its token is not" in removed.errors
    assert keys.read_bytes() == ODD + b"\n"
