"""Secrets on their way: only the receiver opens them, and only as what they are."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from slipway.contracts.values import Sealed
from slipway.runtime.errors import SecretUnreadable
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.topology.identities import Identities, generate


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    """Keys of every service."""
    return generate(tmp_path_factory.mktemp("keys"))


def sealer(identities: Identities, service: str) -> Sealer:
    return Sealer(
        ServiceSettings(
            sealing_key_file=identities.sealing_file(service), sealing_public_file=identities.public_file
        )
    )


def sealed(identities: Identities) -> Sealed:
    gateway = sealer(identities, "gateway")
    return gateway.seal(SecretStr("hunter2"), to="inventory", owner="c1", field="token")


def test_the_receiver_opens(identities: Identities) -> None:
    """What the gateway seals to inventory, inventory opens; the text is nowhere in between."""
    box = sealed(identities)

    opened = sealer(identities, "inventory").open(box, owner="c1", field="token")

    assert opened.get_secret_value() == "hunter2"
    assert "hunter2" not in box.model_dump_json()


def test_nobody_else_opens(identities: Identities) -> None:
    """Not even the sender."""
    for other in ("gateway", "monitor", "provisioner"):
        with pytest.raises(SecretUnreadable):
            sealer(identities, other).open(sealed(identities), owner="c1", field="token")


@pytest.mark.parametrize(("owner", "field"), [("c2", "token"), ("c1", "password")])
def test_a_secret_opens_as_what_it_is(identities: Identities, owner: str, field: str) -> None:
    """Owner and field are bound in."""
    with pytest.raises(SecretUnreadable):
        sealer(identities, "inventory").open(sealed(identities), owner=owner, field=field)


@pytest.mark.parametrize(
    "change",
    [{"to": "monitor"}, {"ephemeral": "AAAA"}, {"box": "AAAA"}, {"box": "?"}, {"ephemeral": "A" * 43 + "="}],
)
def test_a_tampered_box_does_not_open(identities: Identities, change: dict[str, str]) -> None:
    """Every part is guarded, and garbage is no bug."""
    box = sealed(identities).model_copy(update=change)

    with pytest.raises(SecretUnreadable):
        sealer(identities, "inventory").open(box, owner="c1", field="token")


def test_an_unknown_receiver_is_reported(identities: Identities) -> None:
    """A misspelt service gets no secret."""
    with pytest.raises(SecretUnreadable, match="no public key of nobody"):
        sealer(identities, "gateway").seal(SecretStr("s"), to="nobody", owner="o", field="f")


def test_missing_keys_are_reported() -> None:
    """The message names the setting."""
    with pytest.raises(SecretUnreadable, match="SLIPWAY_SEALING_PUBLIC_FILE is not set"):
        Sealer(ServiceSettings()).seal(SecretStr("s"), to="inventory", owner="o", field="f")


def test_keys_stay_when_generated_again(tmp_path: Path) -> None:
    """An upgrade changes permissions, never keys."""
    first = generate(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    generate(tmp_path)

    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert first.nkey_file("gateway").stat().st_mode & 0o777 == 0o600
    assert first.sealing_file("gateway").stat().st_mode & 0o777 == 0o600
