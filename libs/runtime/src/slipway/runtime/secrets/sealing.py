"""Secrets on their way: sealed so that one service can open them, and only as what they are.

A one-time X25519 key of the sender and the receiver's public key agree on a key (HKDF-SHA-256), which seals
with AES-256-GCM. Receiver, owner and field are bound in: a box that is stored, moved or renamed does not
open. The sender is not authenticated by the box; who may speak on which subject is the bus's matter.
"""

import json
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from slipway.contracts.values import Sealed
from slipway.runtime.errors import SecretUnreadable
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.secrets.keys import associated, decode, encode
from slipway.runtime.secrets.redaction import redact

_NONCE_BYTES = 12
_PURPOSE = b"slipway sealed v1"


class Sealer:
    """Seals to other services and opens what is sealed to this one. Keys are read when first needed."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._private_file = settings.sealing_key_file
        self._public_file = settings.sealing_public_file

    def seal(self, secret: SecretStr, *, to: str, owner: str, field: str) -> Sealed:
        """Seal a secret to a service."""
        receiver = self._public_key(to)
        one_time = X25519PrivateKey.generate()
        ephemeral = one_time.public_key().public_bytes_raw()
        key = _derive(one_time.exchange(receiver), ephemeral, receiver.public_bytes_raw())
        nonce = secrets.token_bytes(_NONCE_BYTES)
        box = AESGCM(key).encrypt(nonce, secret.get_secret_value().encode(), associated(to, owner, field))
        return Sealed(to=to, ephemeral=encode(ephemeral), box=encode(nonce + box))

    def open(self, sealed: Sealed, *, owner: str, field: str) -> SecretStr:
        """Open a secret that was sealed to this service; its value is masked in the logs from now on."""
        key_text = _read(self._private_file, "SLIPWAY_SEALING_KEY_FILE")
        private = X25519PrivateKey.from_private_bytes(decode(key_text))
        ephemeral, box = decode(sealed.ephemeral), decode(sealed.box)
        try:
            shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            key = _derive(shared, ephemeral, private.public_key().public_bytes_raw())
            bound = associated(sealed.to, owner, field)
            opened = AESGCM(key).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError) as error:
            raise SecretUnreadable("A sealed secret does not open here.", owner=owner, field=field) from error
        secret = SecretStr(opened.decode())
        redact(secret)
        return secret

    def _public_key(self, service: str) -> X25519PublicKey:
        public_keys = json.loads(_read(self._public_file, "SLIPWAY_SEALING_PUBLIC_FILE"))
        if service not in public_keys:
            raise SecretUnreadable(f"There is no public key of {service}.", service=service)
        return X25519PublicKey.from_public_bytes(decode(public_keys[service]))


def _derive(shared: bytes, ephemeral: bytes, receiver: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=ephemeral + receiver, info=_PURPOSE).derive(shared)


def _read(path: Path | None, variable: str) -> str:
    if path is None:
        raise SecretUnreadable(f"{variable} is not set.")
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SecretUnreadable(f"{path} can't be read.", path=path) from error
