"""Give every service its role, schema and grants: compose's one-shot, before any `migrate`.

Asks again while PostgreSQL is not there yet: not every engine keeps compose's order at the first start.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from slipway.runtime.database.roles import provision_databases
from slipway.runtime.errors import DatabaseUnavailable

SERVICES = ("gateway", "inventory", "catalog")
TIMEOUT_SECONDS = 60


async def main() -> None:
    """Connect as PostgreSQL's administrator and provision."""
    secrets = Path(os.environ.get("SECRETS", "/run/secrets"))
    admin = (secrets / "postgres-password").read_text(encoding="utf-8").strip()
    passwords = {
        service: SecretStr((secrets / f"{service}-password").read_text(encoding="utf-8"))
        for service in SERVICES
    }
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await _provision(f"postgresql://postgres:{admin}@postgres/slipway", passwords)
    except TimeoutError:
        sys.exit(f"PostgreSQL let nobody in for {TIMEOUT_SECONDS} seconds; its own log says why.")
    print(f"{', '.join(SERVICES)} have their roles and schemas")


async def _provision(admin_url: str, passwords: Mapping[str, SecretStr]) -> None:
    while True:
        try:
            await provision_databases(admin_url, SERVICES, passwords=passwords)
        except DatabaseUnavailable as error:
            print(f"{error.message} {error.__cause__}", file=sys.stderr)
            await asyncio.sleep(1)
        else:
            return


asyncio.run(main())
