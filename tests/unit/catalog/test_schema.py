"""The schema that editors read."""

from pathlib import Path

from slipway.catalog.manifest import schema

COMMITTED = Path(__file__).parents[3] / "infra/lxc/templates/template.schema.json"


def test_committed_schema_is_fresh() -> None:
    """Editors know exactly what the service takes."""
    assert COMMITTED.read_text() == schema.text()
