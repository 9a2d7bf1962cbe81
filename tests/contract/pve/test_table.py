"""What the lab reads of its table of calls, and the table against Proxmox' schema."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from contract.pve.derive import derive

from slipway.lab.api.routes import ROUTES
from slipway.lab.schema.calls import CALLS, TABLE
from slipway.lab.schema.parameters import Parameter
from support.pve_reference import reference


def test_table_is_what_the_schema_says() -> None:
    """The committed table is the one derived from the official schema."""
    schema = json.loads(reference("pve-9*.json").read_text(encoding="utf-8"))

    assert derive(schema) == TABLE


def test_lab_knows_every_call_of_the_table() -> None:
    """Each call of the table has parameters and a handler; the root of the API is all that is beside it."""
    assert set(CALLS) == set(ROUTES) == {*TABLE, "GET /"}


@pytest.mark.parametrize("call", sorted(TABLE))
def test_parameters_are_those_of_the_table(call: str) -> None:
    """Names, types and bounds of a call's parameters are Proxmox' own."""
    declared = {name: _row(parameter) for name, parameter in CALLS[call].items()}

    assert declared == TABLE[call]["parameters"]


@pytest.mark.parametrize("call", sorted(TABLE))
def test_tokens_are_allowed_where_the_table_says(call: str) -> None:
    """A token may call what it may call on a real node."""
    assert ROUTES[call].allows_token == TABLE[call]["token"]


@pytest.mark.parametrize("call", sorted(TABLE))
def test_path_parameters_are_declared(call: str) -> None:
    """What stands in a path is a parameter too."""
    names = re.findall(r"\{(\w+)\}", call)

    assert set(names) <= set(CALLS[call])


def _row(parameter: Parameter) -> dict[str, Any]:
    """Write a declaration as the table has it."""
    row: dict[str, Any] = {
        "type": parameter.kind,
        "optional": None if parameter.required else 1,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "minLength": parameter.min_length,
        "maxLength": parameter.max_length,
        "enum": list(parameter.choices) or None,
        "pattern": parameter.pattern,
        "requires": parameter.requires,
        "default_key": 1 if parameter.is_default_key else None,
        "format": _parts(parameter.parts) or parameter.format,
    }
    return {key: value for key, value in row.items() if value is not None}


def _parts(parts: Mapping[str, Parameter]) -> dict[str, Any]:
    return {name: _row(part) for name, part in parts.items()}
