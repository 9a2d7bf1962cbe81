"""Make the secrets that compose.yaml hands out: `make secrets`. Keeps what exists.

Writes `infra/secrets/`: the passwords, tokens and the key ring; in its folder `identities`, the keys of every
user of the bus and `users.conf`. compose.yaml gives each container only its own. The folder stays out of git.
"""

import secrets
import sys
from pathlib import Path

from slipway.contracts.registry import SERVICES
from slipway.runtime.secrets.vault import KeyRing
from slipway.runtime.topology.identities import generate

DATABASE_SERVICES = ("gateway", "inventory", "catalog")


def main(folder: Path) -> None:
    """Write what is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    identities = generate(folder / "identities")
    _once(folder / "postgres-password", secrets.token_urlsafe(24))
    _once(folder / "bootstrap-token", secrets.token_urlsafe(32))
    _once(folder / "metrics-token", secrets.token_urlsafe(32))
    if not (folder / "key-ring.json").exists():
        KeyRing.create(folder / "key-ring.json")
    for service in DATABASE_SERVICES:
        password = _once(folder / f"{service}-password", secrets.token_urlsafe(24))
        _once(
            folder / f"{service}-database-url", f"postgresql://slipway_{service}:{password}@postgres/slipway"
        )
    for path in folder.rglob("*"):
        # Compose mounts a file with its own mode; the services run as uid 10001.
        path.chmod(0o755 if path.is_dir() else 0o644)
    print(f"Secrets of {len(SERVICES)} services are in {folder}; users of the bus: {identities.users_file}")


def _once(path: Path, value: str) -> str:
    if not path.exists():
        path.write_text(value, encoding="utf-8")
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
