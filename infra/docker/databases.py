"""Give every service its role, schema and grants: compose's one-shot, before any `migrate`."""

import asyncio
import os
from pathlib import Path

from pydantic import SecretStr

from slipway.runtime.roles import provision_databases

SERVICES = ("gateway", "inventory", "catalog")


async def main() -> None:
    """Connect as PostgreSQL's administrator and provision."""
    secrets = Path(os.environ.get("SECRETS", "/run/secrets"))
    admin = (secrets / "postgres-password").read_text(encoding="utf-8").strip()
    passwords = {
        service: SecretStr((secrets / f"{service}-password").read_text(encoding="utf-8"))
        for service in SERVICES
    }
    await provision_databases(
        f"postgresql://postgres:{admin}@postgres/slipway", SERVICES, passwords=passwords
    )


asyncio.run(main())
