"""Keys of every user of the bus, and the part of the server's configuration that knows them.

`generate` writes into one folder, and keeps the keys that are there already, so it can be run again after an
upgrade: `<user>.nk` (nkey seed), `<service>.x25519` (private key for sealed secrets), `sealing-public.json`
(everybody's public one) and `users.conf` (who may do what; the server includes it).
"""

import json
import os
import sys
from pathlib import Path

import nkeys
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from slipway.contracts.registry import SERVICES
from slipway.runtime.secrets.keys import decode, encode, write_private
from slipway.runtime.topology.accounts import accounts_conf
from slipway.runtime.topology.identity_files import Identities
from slipway.runtime.topology.permissions import USERS, Permissions, permissions_of

__all__ = ["Identities", "generate"]

_SEED_BYTES = 32
_ANSWERS_FOR = "10m"
"""How long after a question the answer may come: longer than any deadline."""


def generate(folder: Path) -> Identities:
    """Make the keys that are missing, and write the configuration anew."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    identities = Identities(folder)
    users = {
        user: _user_block(_public_nkey(identities.nkey_file(user)), permissions_of(user)) for user in USERS
    }
    public = {service: _public_sealing_key(identities.sealing_file(service)) for service in SERVICES}
    identities.public_file.write_text(json.dumps(public, indent=2) + "\n", encoding="utf-8")
    identities.users_file.write_text(accounts_conf(users), encoding="utf-8")
    return identities


def _public_nkey(file: Path) -> str:
    if not file.exists():
        seed = nkeys.encode_seed(os.urandom(_SEED_BYTES), nkeys.PREFIX_BYTE_USER)
        write_private(file, bytes(seed).decode())
    pair = nkeys.from_seed(bytearray(file.read_bytes().strip()))
    public: str = pair.public_key.decode()
    pair.wipe()
    return public


def _public_sealing_key(file: Path) -> str:
    if not file.exists():
        write_private(file, encode(X25519PrivateKey.generate().private_bytes_raw()))
    private = X25519PrivateKey.from_private_bytes(decode(file.read_text(encoding="utf-8").strip()))
    return encode(private.public_key().public_bytes_raw())


def _user_block(public: str, permissions: Permissions) -> str:
    if not permissions.publish and not permissions.subscribe:
        return f"      {{ nkey: {public} }}"
    lines = [
        f"publish: {{ allow: {_list(permissions.publish)} }}",
        f"subscribe: {{ allow: {_list(permissions.subscribe)} }}",
    ]
    if permissions.answers:
        lines.append(f'allow_responses: {{ max: 1, expires: "{_ANSWERS_FOR}" }}')
    inside = "\n".join(f"          {line}" for line in lines)
    return f"      {{ nkey: {public}, permissions: {{\n{inside}\n      }} }}"


def _list(subjects: tuple[str, ...]) -> str:
    return json.dumps(list(subjects))


def main() -> None:
    """`python -m slipway.runtime.topology.identities FOLDER`: make what is missing there."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and one folder
        sys.exit("usage: python -m slipway.runtime.topology.identities FOLDER")
    generate(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
