"""The token script: its variables, and what is read of its output."""

import subprocess
from typing import Any

import pytest

from slipway.contracts.connections import AccessBounds
from slipway.contracts.problems import Invalid
from slipway.contracts.tiers import Tier
from slipway.provisioner.cluster_access import script

PRINTED = """Welcome to pve
{
  "name": "home",
  "token_id": "slipway-ab12@pve!main",
  "token_secret": "s3cret",
  "ca": "PEM",
  "ssh": {"private_key": "KEY", "nodes": {"pve1": {}}}
}
"""


def test_reads_what_the_script_printed() -> None:
    """What root's login shell printed before is passed over; below tier full there is no SSH key."""
    full = script.read_printed(PRINTED)
    observe = script.read_printed('{"token_id": "a", "token_secret": "b", "tls_fingerprint": "AA"}')

    assert (full.node, full.token_id, full.ca) == ("pve1", "slipway-ab12@pve!main", "PEM")
    assert (observe.node, observe.private_key, observe.tls_fingerprint) == (None, None, "AA")
    assert "s3cret" not in repr(full)


@pytest.mark.parametrize(
    ("vmids", "expected"),
    [("200-299", (200, 299)), ("300,", (300, 300)), ("100-199,300", None), ("299-200", None), ("", None)],
)
def test_one_range_is_printed_and_read(vmids: str, expected: tuple[int, int] | None) -> None:
    """What the key is bound to is what Slipway chooses from, where it is one range."""
    _, name, rest = script.text().partition("vmid_range() {")
    function = f"{name}{rest.partition(chr(10) + '}')[0]}\n}}\nset -eu\nvmid_range"

    said = subprocess.run(
        ["sh", "-c", function], env={"VMIDS": vmids}, capture_output=True, text=True, check=True
    ).stdout
    read = script.read_printed(PRINTED.replace('"ca"', f'{said} "ca"')).vmids

    assert (read and (read.first, read.last)) == expected


@pytest.mark.parametrize("output", ["", "no", "{", "{}", '{"token_id": "a"}', '{"token_id": "a", "ssh": 1}'])
def test_an_incomplete_output_is_refused_without_being_quoted(output: str) -> None:
    """It may hold half a secret."""
    with pytest.raises(script.ScriptUnreadable, match="no complete request"):
        script.read_printed(output)


def test_variables_reach_the_shell_as_they_are() -> None:
    """Quotes, dollars and spaces in a bound are text."""
    values = {"ID": "ab12", "MOUNTS": "/srv/it's $HOME `x`"}
    head = script.with_variables(values).splitlines()[1 : len(values) + 1]

    said = subprocess.run(
        ["sh", "-c", "\n".join([*head, 'printf %s "$ID|$MOUNTS"'])],
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout == "ab12|/srv/it's $HOME `x`"
    assert script.with_variables({"ID": "ab12"}, "remove").splitlines()[1:3] == ["ID=ab12", "set -- remove"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vmids", "100\n200"),
        ("vmids", "1-5"),
        ("vmids", "100 all"),
        ("pool", "a\0b"),
        ("pool", "a b"),
        ("mounts", "/" + "x" * 4001),
        ("mounts", "/srv /srv/../etc"),
        ("mounts", "/"),
        ("devices", "/srv"),
        ("features", "mount everything"),
        ("hookscripts", "/root/x"),
    ],
)
def test_a_bound_that_the_script_would_refuse_is_refused_before(field: str, value: str) -> None:
    """It names the field; nothing is run on a node, and no script is handed out that fails there."""
    bounds = AccessBounds.model_validate({field: value})

    with pytest.raises(Invalid) as refused:
        script.variables(name="home", access_id="ab12", address="", tier=Tier.FULL, bounds=bounds)

    assert [each.field for each in refused.value.errors] == [f"bounds.{field}"]


@pytest.mark.parametrize(("field", "wrong"), [("vmids", "1-5"), ("pool", "/a"), ("features", "all")])
def test_a_wrong_bound_is_refused_with_an_example(field: str, wrong: str) -> None:
    """So that one sees what can be written instead."""
    bounds = AccessBounds.model_validate({field: wrong})

    with pytest.raises(Invalid, match=f"{wrong!r} can't be one: it is like [a-z1]"):
        script.variables(name="home", access_id="ab12", address="", tier=Tier.FULL, bounds=bounds)


def test_bounds_as_the_script_takes_them_are_taken() -> None:
    """What they are like is read from the script, so the two never differ."""
    bounds = AccessBounds(
        vmids="100-199,300 400",
        pool="slipway/inner",
        mounts="/srv /mnt/data",
        devices="/dev/dri",
        features="mount privileged",
        hookscripts="local:snippets/x.sh",
    )

    values = script.variables(name="home", access_id="ab12", address="", tier=Tier.FULL, bounds=bounds)

    assert {field for field, _ in bounds} <= {field.lower() for field in values}


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"name": "Home"}, ["name"]),
        ({"address": 'a"b'}, ["address"]),
        ({"access_id": "a-b"}, ["id"]),
        ({"tier": Tier.OPERATE, "bounds": AccessBounds(vmids="100")}, ["bounds.vmids"]),
    ],
)
def test_other_variables_are_refused_too(given: dict[str, Any], fields: list[str]) -> None:
    """Each by its field."""
    good: dict[str, Any] = {"name": "home", "access_id": "ab12", "address": "", "tier": Tier.FULL}

    with pytest.raises(Invalid) as refused:
        script.variables(**good | {"bounds": AccessBounds()} | given)

    assert [each.field for each in refused.value.errors] == fields


def test_bounds_without_containers_bind_no_new_key() -> None:
    """They are refused before root's password is used."""
    with pytest.raises(Invalid, match="only together with vmids or pool"):
        script.refuse_loose(AccessBounds(mounts="/srv"))


@pytest.mark.parametrize(
    ("output", "is_root", "node", "identity"),
    [
        ("not-root\n", False, None, None),
        ("no-pveum\n", True, None, None),
        ("node pve1\nca:AA:BB\n", True, "pve1", "ca:AA:BB"),
        ("node pve1\n", True, "pve1", None),
    ],
)
def test_a_look_says_what_a_machine_is(
    output: str, *, is_root: bool, node: str | None, identity: str | None
) -> None:
    """Whether we are root there, its name in Proxmox, and its cluster."""
    look = script.read_look(output)

    assert (look.is_root, look.node, look.identity) == (is_root, node, identity)
