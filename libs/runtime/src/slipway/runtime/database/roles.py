"""Create a role and a schema for every service, as PostgreSQL's administrator.

A role may do anything in its own schema and nothing in another's. Passwords are created on every run unless
the caller passes them; they are sent as SCRAM verifiers, so that no server log can contain one.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg
from pydantic import SecretStr
from sqlalchemy.engine import URL, make_url

from slipway.runtime.errors import DatabaseUnavailable
from slipway.runtime.process.logs import redact

_ITERATIONS = 4096
_GRANTS = """
create schema if not exists "{schema}" authorization "{role}";
alter schema "{schema}" owner to "{role}";
revoke all on schema "{schema}" from public;
alter role "{role}" set search_path = "{schema}";
grant connect on database "{database}" to "{role}";
"""


def role_of(service: str) -> str:
    """Return the role of a service."""
    return f"slipway_{service}"


async def provision_databases(
    admin_url: str, services: Iterable[str], *, passwords: Mapping[str, SecretStr] | None = None
) -> dict[str, SecretStr]:
    """Create or repair each service's role, password, schema and grants; return each service's own URL.

    Args:
        admin_url: a superuser's URL of the database that will hold the schemas.
        services: whose names are also their schemas' names.
        passwords: by service; a new one is created for each that is missing. Roles belong to the whole
            server: a new password ends the old one in every database of it.
    """
    url = make_url(admin_url).set(drivername="postgresql")
    try:
        connection = await asyncpg.connect(url.render_as_string(hide_password=False), timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise DatabaseUnavailable("The database's administrator can't connect.") from error
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtext('slipway roles'))")
            await connection.execute("revoke all on schema public from public")
            await connection.execute(f'revoke all on database "{url.database}" from public')
            return {
                service: await _provision(connection, url, service, (passwords or {}).get(service))
                for service in services
            }
    finally:
        await connection.close()


async def _provision(
    connection: "asyncpg.Connection[Any]", url: URL, service: str, chosen: SecretStr | None
) -> SecretStr:
    role = role_of(service)
    password = chosen.get_secret_value() if chosen is not None else secrets.token_urlsafe(24)
    redact(password)
    exists = await connection.fetchval("select 1 from pg_roles where rolname = $1", role)
    verb = "alter" if exists else "create"
    await connection.execute(f"{verb} role \"{role}\" login password '{scram_verifier(password)}'")
    await connection.execute(_GRANTS.format(schema=service, role=role, database=url.database))
    return SecretStr(url.set(username=role, password=password).render_as_string(hide_password=False))


def scram_verifier(password: str) -> str:
    """Compute what PostgreSQL stores of a password (SCRAM-SHA-256, RFC 5803)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()
    encoded = (base64.b64encode(part).decode() for part in (salt, stored, server))
    salt_text, stored_text, server_text = encoded
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt_text}${stored_text}:{server_text}"
