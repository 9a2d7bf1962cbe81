"""One TOML file serves every service."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from slipway.runtime.process.settings import TABLES, explain
from slipway.runtime.topology.__main__ import AdminSettings

FILE = """
log_level = "debug"
nats_url = "nats://bus:4222"

[gateway]
session_lifetime = 60

[inventory]
node_jobs = 3
key_ring_file = "/ring"
database_url = "postgresql://a:b@c/d"
audit_retention = 86400

[provisioner]
run_slots = 3

[monitor]
poll_interval = 3

[catalog]
scan_interval = 3

[topology]
replicas = 3
"""
OWN = {
    "gateway": "session_lifetime",
    "inventory": "node_jobs",
    "provisioner": "run_slots",
    "monitor": "poll_interval",
    "catalog": "scan_interval",
    "topology": "replicas",
}


def settings_of(table: str) -> type[Any]:
    if table == "topology":
        return AdminSettings
    module = importlib.import_module(f"slipway.{table}.settings")
    return next(
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, BaseSettings) and each.__module__ == module.__name__
    )


@pytest.mark.parametrize("table", TABLES)
def test_each_reads_the_top_and_its_table(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key of one service keeps no other from starting; a misspelt one is refused by whom it concerns."""
    file = tmp_path / "slipway.toml"
    file.write_text(FILE)
    monkeypatch.setenv("SLIPWAY_CONFIG", str(file))

    settings = settings_of(table)()

    assert (settings.log_level, settings.nats_url) == ("debug", "nats://bus:4222")
    assert OWN[table] in settings.model_fields_set
    file.write_text(FILE.replace(f"[{table}]", f"[{table}]\nmisspelt = 1"))
    with pytest.raises(ValidationError) as caught:
        settings_of(table)()
    assert explain(caught.value) == ["SLIPWAY_MISSPELT: Extra inputs are not permitted"]
