"""A service that runs has imported what it needs, and nothing else."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("service", ["gateway", "inventory", "catalog"])
def test_only_a_migration_imports_alembic(service: str) -> None:
    """Its memory is not that of a service whose schema is the newest."""
    program = f"import slipway.{service}.app, sys; print(sorted({{'alembic', 'mako'}} & set(sys.modules)))"

    process = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert process.stdout.strip() == "[]"
