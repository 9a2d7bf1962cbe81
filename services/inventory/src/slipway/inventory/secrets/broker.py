"""Secrets of inventory: opened from the bus, sealed at rest, sealed to the services that need them."""

import secrets
import string
from dataclasses import dataclass

from pydantic import SecretStr

from slipway.contracts.values import Sealed
from slipway.runtime.secrets.redaction import redact
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.secrets.vault import Vault

PASSWORD_LENGTH = 24
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class SecretBroker:
    """Both seals: the bus's and the vault's."""

    sealer: Sealer
    vault: Vault

    def receive(self, sealed: Sealed, *, owner: str, field: str) -> SecretStr:
        """Open what was sealed to inventory."""
        return self.sealer.open(sealed, owner=owner, field=field)

    def keep(self, secret: SecretStr, *, owner: str, field: str) -> str:
        """Seal for a row."""
        return self.vault.seal(secret, owner=owner, field=field)

    def move(self, stored: str, *, owner: str, to_owner: str, field: str) -> str:
        """Seal what a row keeps for another owner's row."""
        return self.keep(self.vault.open(stored, owner=owner, field=field), owner=to_owner, field=field)

    def pass_on(self, stored: str, *, owner: str, field: str, to: str, to_field: str | None = None) -> Sealed:
        """Seal what a row keeps to another service, under the same owner."""
        secret = self.vault.open(stored, owner=owner, field=field)
        return self.sealer.seal(secret, to=to, owner=owner, field=to_field or field)


def generate(length: int = PASSWORD_LENGTH) -> SecretStr:
    """Return a password of letters and digits: it fits every shell, file and form."""
    secret = SecretStr("".join(secrets.choice(_LETTERS) for _ in range(length)))
    redact(secret)
    return secret
