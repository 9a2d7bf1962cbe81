"""Secrets at rest: they open for their owner and field, with their key, untouched; else not at all."""

import base64
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from slipway.runtime.errors import SecretUnreadable
from slipway.runtime.secrets.vault import KeyRing, Vault

RING = KeyRing("k1", {"k1": b"1" * 32})


@given(st.text(), st.text(), st.text())
def test_what_is_sealed_opens(secret: str, owner: str, field: str) -> None:
    """Any text, for any owner and field."""
    vault = Vault(RING)

    sealed = vault.seal(SecretStr(secret), owner=owner, field=field)

    assert vault.open(sealed, owner=owner, field=field).get_secret_value() == secret


@pytest.mark.parametrize(
    ("owner", "field"), [("c2", "token"), ("c1", "password"), ("c1t", "oken"), ("", "c1token")]
)
def test_a_secret_moved_elsewhere_does_not_open(owner: str, field: str) -> None:
    """Owner and field are bound in, and no two pairs look alike."""
    sealed = Vault(RING).seal(SecretStr("s"), owner="c1", field="token")

    with pytest.raises(SecretUnreadable):
        Vault(RING).open(sealed, owner=owner, field=field)


def test_a_changed_byte_does_not_open() -> None:
    """Every byte of the box is guarded."""
    sealed = Vault(RING).seal(SecretStr("secret"), owner="c1", field="token")
    shape, name, box = sealed.split(":")
    raw = base64.b64decode(box)

    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        tampered = f"{shape}:{name}:{base64.b64encode(changed).decode()}"
        with pytest.raises(SecretUnreadable):
            Vault(RING).open(tampered, owner="c1", field="token")


@pytest.mark.parametrize(
    "text", ["", "v1", "v1:k1", "v1:k1:", "v1:k1:!!!", "v1:k1:AAAA", "v2:k1:AAAA", "plain"]
)
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    """Garbage is refused in the same way as a wrong key."""
    with pytest.raises(SecretUnreadable):
        Vault(RING).open(text, owner="c1", field="token")


def test_sealing_twice_gives_two_texts() -> None:
    """Equal secrets can't be recognized by what is stored."""
    vault = Vault(RING)

    assert vault.seal(SecretStr("s"), owner="o", field="f") != vault.seal(
        SecretStr("s"), owner="o", field="f"
    )


def test_rotation_keeps_old_secrets_readable_and_names_them(tmp_path: Path) -> None:
    """After a rotation the old key opens, the new one seals."""
    path = tmp_path / "ring.json"
    old = Vault(KeyRing.create(path)).seal(SecretStr("s"), owner="o", field="f")
    KeyRing.rotate(path)
    vault = Vault(KeyRing.from_file(path))

    new = vault.seal(SecretStr("s"), owner="o", field="f")

    assert vault.open(old, owner="o", field="f").get_secret_value() == "s"
    assert (vault.needs_resealing(old), vault.needs_resealing(new)) == (True, False)


def test_a_ring_without_the_key_does_not_open() -> None:
    """A key that was removed takes its secrets along."""
    sealed = Vault(RING).seal(SecretStr("s"), owner="o", field="f")

    with pytest.raises(SecretUnreadable, match="not in the ring"):
        Vault(KeyRing("k2", {"k2": b"2" * 32})).open(sealed, owner="o", field="f")


def test_a_ring_is_for_its_owners_eyes(tmp_path: Path) -> None:
    """The file is closed to others, and printing a ring shows no key."""
    path = tmp_path / "ring.json"

    ring = KeyRing.create(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for key in json.loads(path.read_text())["keys"].values():
        assert key not in repr(ring)
        assert str(base64.b64decode(key)) not in repr(ring)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"current": "a", "keys": {"a": "AA=="}}', '{"current": "a", "keys": {}}']
)
def test_a_broken_ring_is_reported(tmp_path: Path, text: str) -> None:
    """One line, no traceback of json."""
    path = tmp_path / "ring.json"
    path.write_text(text)

    with pytest.raises(SecretUnreadable):
        KeyRing.from_file(path)
