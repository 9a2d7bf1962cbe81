"""A command imports what it needs, and nothing else: it starts fast."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import json, sys
from slipway.cli.__main__ import main
status = main(sys.argv[1:])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
SERVERS = {"nats", "faststream", "sqlalchemy", "asyncpg", "asyncssh", "fastapi", "proxmoxer"}


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--version"], {"typer", "rich", "pydantic", "httpx"}),
        (
            ["containers", "--data", "/none"],
            {"slipway.contracts", "slipway.cli.progress", "rich", "pygments"},
        ),
        (["start", "web", "--data", "/none"], {"slipway.contracts.clusters"}),
        (["up", "--help"], {"httpx", "slipway.contracts"}),
        (["up", "--nodes", "17"], {"slipway.lab.node", "slipway.standalone.up"}),
    ],
)
def test_only_what_is_needed_is_imported(arguments: list[str], unneeded: set[str], tmp_path: Path) -> None:
    """Nothing of a server in any case."""
    process = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], check=True, capture_output=True, text=True, cwd=tmp_path
    )

    imported = set(json.loads(process.stderr.splitlines()[-1]))
    assert imported & (SERVERS | unneeded) == set()
