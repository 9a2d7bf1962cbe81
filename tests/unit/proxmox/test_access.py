"""How a cluster is reached: what is refused, what is never shown."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from slipway.contracts.problems import Invalid
from slipway.proxmox.access import ApiAccess, NodeAccess

TOKEN = ApiAccess(endpoint="https://pve1", token_id="slipway@pve!api", token_secret=SecretStr("geheim"))
FINGERPRINT = ":".join(["A0"] * 32)


@pytest.mark.parametrize(
    "token",
    [
        "root@pam!x",
        "root@pam!a.b_c-d",
        "a@my-realm.example_1!token",
        "j.doe+x@corp@ldap!t1",
        "a!b@pve!t",
    ],
)
def test_a_token_may_have_any_name_of_proxmox_alphabet(token: str) -> None:
    """Short ones, and realms with dots; the node says whether there is one."""
    assert replace(TOKEN, token_id=token).token_id == token


@pytest.mark.parametrize(
    ("endpoint", "base"),
    [
        ("https://pve1", "https://pve1:8006/api2/json"),
        ("https://pve1:443/", "https://pve1:443/api2/json"),
        ("https://[fd00::1]", "https://[fd00::1]:8006/api2/json"),
    ],
)
def test_the_port_is_8006_unless_said(endpoint: str, base: str) -> None:
    """IPv6 addresses keep their brackets."""
    assert replace(TOKEN, endpoint=endpoint).base_url == base


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("endpoint", {"endpoint": "http://pve1"}),
        ("endpoint", {"endpoint": "https://pve1/api2"}),
        ("token_id", {"token_id": "slipway"}),
        ("token_id", {"token_id": "root@pam!"}),
        ("token_id", {"token_id": "root@pam!x y"}),
        ("token_id", {"token_id": "root@pam!x\n"}),
        ("token_id", {"token_id": "root@!x"}),
        ("token_id", {"token_secret": None}),
        ("token_id", {"username": "root@pam"}),
        ("username", {"token_id": None, "username": "root", "password": SecretStr("x")}),
        ("tls_fingerprint", {"tls_fingerprint": "A0:63"}),
        ("ca", {"tls_fingerprint": FINGERPRINT, "ca": "-----BEGIN CERTIFICATE-----"}),
    ],
)
def test_access_that_can_not_work_is_refused(field: str, changes: dict[str, object]) -> None:
    """The error names the field."""
    with pytest.raises(Invalid) as caught:
        replace(TOKEN, **changes)  # type: ignore[arg-type]  # the cases are the types' values

    assert caught.value.errors[0].field == field


def test_no_secret_is_shown() -> None:
    """Neither `repr` nor an error holds one."""
    node = NodeAccess(name="pve1", address="x", password=SecretStr("geheim"), host_key="ssh-ed25519 AAAA")

    assert "geheim" not in repr(TOKEN) + repr(node)


def test_a_node_needs_a_way_in() -> None:
    """A password or a private key."""
    with pytest.raises(Invalid):
        NodeAccess(name="pve1", address="x", host_key="ssh-ed25519 AAAA")
