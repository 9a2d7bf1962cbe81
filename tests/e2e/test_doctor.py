"""`slipway doctor` on a Slipway that runs, and the archive for support."""

import asyncio
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from slipway.runtime.secrets.vault import KeyRing, Vault
from support.command_line import slipway
from support.stack import RunningStack

HEALTHY_SECONDS = 90.0


async def test_finds_nothing_wrong(stack: RunningStack) -> None:
    """Every check of a healthy installation can be done, and none fails."""
    status, output = 1, ""
    async with asyncio.timeout(HEALTHY_SECONDS):
        # Other tests may just have taken a part of it away.
        while status:
            status, output = await slipway(stack, "doctor", "-o", "json")
    found = {each["check"]: each for each in json.loads(output[output.index("{") :])["checks"]}

    assert [each for each in found.values() if each["state"] == "not checked"] == []
    assert len(found) >= 16
    assert found["clock"]["message"] == "this machine and 1 clusters agree within 5 s"


async def test_the_archive_has_no_secret(
    stack: RunningStack, api: httpx.AsyncClient, ready: dict[str, Any], tmp_path: Path
) -> None:
    """Each secret of the installation stands in a log of its own; the archive has the lines without it."""
    assert (await api.get(f"/api/v1/containers/{ready['id']}")).status_code == httpx.codes.OK
    values = [*_of_files(stack), *await _of_the_database(stack)]
    log = stack.data / "log" / "careless.log"
    log.write_text("".join(f"a line with {value!r} and {value}\n" for value in values))

    status, output = await slipway(stack, "doctor", "--bundle", str(tmp_path / "bundle.tar.gz"))
    log.unlink()
    with tarfile.open(tmp_path / "bundle.tar.gz") as archive:
        contents = {each.name: archive.extractfile(each).read().decode() for each in archive}  # type: ignore[union-attr]  # files all
    text = "\n".join(contents.values())

    assert status == 0, output
    assert len(values) > 20
    assert [value for value in values if any(line in text for line in _lines(value))] == []
    assert "a line with '[redacted]' and [redacted]" in contents["slipway-doctor/logs/careless.log"]
    assert json.loads(contents["slipway-doctor/counts.json"])["streams"]["EVENTS"]["messages"] > 0
    assert (tmp_path / "bundle.tar.gz").stat().st_mode & 0o077 == 0


def _of_files(stack: RunningStack) -> list[str]:
    """Secrets by the files that the installation itself stores them in."""
    services = (stack.data / "services").resolve()
    names = ("*.nk", "*.x25519", "*-token", "*token*")
    paths = {path for name in names for root in (stack.data, services) for path in root.rglob(name)}
    ring = json.loads((stack.data / "secrets" / "key-ring.json").read_text())
    passwords = [re.search(r":([^:@]+)@", stack.database_url(each)) for each in ("gateway", "inventory")]
    return [
        *(path.read_text().strip() for path in sorted(paths) if path.is_file()),
        *ring["keys"].values(),
        *(match[1] for match in passwords if match),
        ((stack.data / "postgres").resolve() / "admin-password").read_text().strip(),
    ]


async def _of_the_database(stack: RunningStack) -> list[str]:
    """The lab's token and SSH key, and the passwords of containers."""
    vault = Vault(KeyRing.from_file(stack.data / "secrets" / "key-ring.json"))
    connection = await asyncpg.connect(stack.database_url("inventory"))
    try:
        credentials = await connection.fetch(
            "select container_id as owner, name as field, sealed from credentials"
        )
        clusters = await connection.fetch(
            "select id as owner, key as field, value as sealed from clusters, jsonb_each_text(secrets)"
        )
    finally:
        await connection.close()
    assert credentials
    assert len(clusters) > 1
    rows = [*credentials, *clusters]
    return [
        vault.open(row["sealed"], owner=row["owner"], field=row["field"]).get_secret_value() for row in rows
    ]


def _lines(value: str) -> list[str]:
    """The lines of a secret, without those that frame every private key."""
    return [line for line in value.strip().splitlines() if not line.startswith("-----")]
