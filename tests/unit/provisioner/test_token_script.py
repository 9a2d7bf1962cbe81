"""The token script: its variables, and what is read of its output."""

import subprocess

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


@pytest.mark.parametrize("output", ["", "no", "{", "{}", '{"token_id": "a"}', '{"token_id": "a", "ssh": 1}'])
def test_an_incomplete_output_is_refused_without_being_quoted(output: str) -> None:
    """It may hold half a secret."""
    with pytest.raises(script.ScriptUnreadable, match="no complete request"):
        script.read_printed(output)


def test_variables_reach_the_shell_as_they_are() -> None:
    """Quotes, dollars and spaces in a bound are text."""
    bounds = AccessBounds(mounts="/srv/it's $HOME `x`")
    values = script.variables(name="home", access_id="ab12", address="pve1", tier=Tier.FULL, bounds=bounds)
    head = script.with_variables(values).splitlines()[1 : len(values) + 1]

    said = subprocess.run(
        ["sh", "-c", "\n".join([*head, 'printf %s "$ID|$MOUNTS"'])],
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout == "ab12|/srv/it's $HOME `x`"
    assert script.with_variables({"ID": "ab12"}, "remove").splitlines()[1:3] == ["ID=ab12", "set -- remove"]


@pytest.mark.parametrize(("field", "value"), [("vmids", "1\n2"), ("pool", "a\0b"), ("mounts", "x" * 4001)])
def test_a_bound_of_several_lines_is_refused(field: str, value: str) -> None:
    """It names the field."""
    bounds = AccessBounds.model_validate({field: value})

    with pytest.raises(Invalid) as refused:
        script.variables(name="home", access_id="ab12", address="", tier=Tier.FULL, bounds=bounds)

    assert [each.field for each in refused.value.errors] == [field]


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
