"""Secrets at rest: AES-256-GCM under a key of the ring, bound to their owner and field.

A sealed text moved to another row or column does not open. Rotation adds a key and makes it current; what
`needs_resealing` is opened and sealed again by its store, and the old key is removed when nothing is left.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from slipway.runtime.errors import SecretUnreadable
from slipway.runtime.secrets.keys import associated, decode, encode, write_private
from slipway.runtime.secrets.redaction import redact

_KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = "v1"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Named keys, one of them current; never printed."""

    current: str
    keys: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if self.current not in self.keys or any(len(key) != _KEY_BYTES for key in self.keys.values()):
            raise SecretUnreadable("The key ring has no current key, or one of the wrong length.")

    def __repr__(self) -> str:
        return f"KeyRing(current={self.current!r}, {len(self.keys)} keys)"

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a ring: JSON, `{"current": "k1", "keys": {"k1": "<32 bytes, base64>"}}`."""
        try:
            ring = json.loads(path.read_text(encoding="utf-8"))
            return cls(ring["current"], {name: decode(key) for name, key in ring["keys"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SecretUnreadable(f"The key ring {path} can't be read.", path=path) from error

    @classmethod
    def create(cls, path: Path) -> Self:
        """Write a ring with one fresh key."""
        return cls._written(path, {})

    @classmethod
    def rotate(cls, path: Path) -> Self:
        """Add a fresh key to a ring and make it current; the older ones still open."""
        return cls._written(path, cls.from_file(path).keys)

    @classmethod
    def _written(cls, path: Path, older: Mapping[str, bytes]) -> Self:
        name = f"k{len(older) + 1}-{secrets.token_hex(3)}"
        ring = cls(name, {**older, name: secrets.token_bytes(_KEY_BYTES)})
        keys = {each: encode(key) for each, key in ring.keys.items()}
        write_private(path, json.dumps({"current": name, "keys": keys}))
        return ring

    def cipher(self, name: str) -> AESGCM:
        """Make the cipher of a named key."""
        if name not in self.keys:
            raise SecretUnreadable("The key that sealed this is not in the ring.", key_id=name)
        return AESGCM(self.keys[name])


class Vault:
    """Seals and opens with one ring."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def seal(self, plaintext: SecretStr, *, owner: str, field: str) -> str:
        """Seal a secret for one field of one owner.

        Args:
            plaintext: the secret.
            owner: what it belongs to, `cluster:01k...`.
            field: which of its secrets, `api-token`.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        name = self._ring.current
        bound = associated(_FORMAT, name, owner, field)
        box = self._ring.cipher(name).encrypt(nonce, plaintext.get_secret_value().encode(), bound)
        return f"{_FORMAT}:{name}:{encode(nonce + box)}"

    def open(self, sealed: str, *, owner: str, field: str) -> SecretStr:
        """Open a secret; its value is masked in the logs from now on."""
        name, box = _parts(sealed)
        bound = associated(_FORMAT, name, owner, field)
        try:
            opened = self._ring.cipher(name).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError) as error:
            raise SecretUnreadable("A sealed secret does not open here.", owner=owner, field=field) from error
        secret = SecretStr(opened.decode())
        redact(secret)
        return secret

    @property
    def current_beginning(self) -> str:
        """The prefix of a text that was sealed under the current key."""
        return f"{_FORMAT}:{self._ring.current}:"

    def reseal(self, sealed: str, *, owner: str, field: str) -> str:
        """Seal under the current key what an older one sealed."""
        return self.seal(self.open(sealed, owner=owner, field=field), owner=owner, field=field)

    def needs_resealing(self, sealed: str) -> bool:
        """Whether an older key than the current one sealed this."""
        return not sealed.startswith(self.current_beginning)


def _parts(sealed: str) -> tuple[str, bytes]:
    shape, _, rest = sealed.partition(":")
    name, _, box = rest.partition(":")
    if shape != _FORMAT or not box:
        raise SecretUnreadable("This is not what was sealed.")
    return name, decode(box)
