"""Parameters of an API call, checked as PVE::JSONSchema checks them: order, wording and all at once.

What lives here: the kinds of parameter and the checking. Not here: which call has which (`calls`), what a
named format means (`formats`). Invariant: a call's handler sees only parameters that passed. (PVE 9.2,
recorded: every bad parameter of a request is reported in one answer.)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from slipway.lab.schema import formats

Kind = Literal["string", "integer", "number", "boolean", "array"]
Parts = Mapping[str, "Parameter"]

UNDEFINED = "property is not defined in schema and the schema does not allow additional properties"
MISSING = "property is missing and it is not optional"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter, or one part of a parameter that is a list of `key=value`."""

    kind: Kind
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    format: str | None = None
    parts: Parts = field(default_factory=dict)
    """The parts of a `key=value,key=value` text such as `net0`; empty for other kinds of text."""
    is_default_key: bool = False
    """The part whose key may be left out, as the volume in `rootfs`."""
    requires: str | None = None


def check(
    declared: Mapping[str, Parameter], values: Mapping[str, str], *, prefix: str = ""
) -> dict[str, str]:
    """Return every fault of the given parameters by name; empty when all are fine."""
    faults: dict[str, str] = {}
    for name, value in values.items():
        parameter = find(declared, name)
        fault = UNDEFINED if parameter is None else _fault(parameter, value, f"{prefix}{name}")
        if fault is None and parameter is not None and parameter.requires not in (None, *values):
            fault = f"missing property - '{name}' requires this property"
            faults[f"{prefix}{parameter.requires}"] = fault
        elif fault is not None:
            faults[f"{prefix}{name}"] = fault
    missing = (name for name, one in declared.items() if one.required and name not in values)
    return faults | {f"{prefix}{name}": MISSING for name in missing}


def find(declared: Mapping[str, Parameter], name: str) -> Parameter | None:
    """Look up a parameter; `net3` is declared as `net[n]`."""
    if name in declared:
        return declared[name]
    numbered = re.fullmatch(r"([a-z]+)(\d+)", name)
    if numbered is None or int(numbered[2]) >= _COUNT.get(numbered[1], 0):
        return None
    return declared.get(f"{numbered[1]}[n]")


_COUNT = {"net": 32, "mp": 256, "dev": 256, "unused": 256}
"""How many of a numbered parameter there may be (PVE::LXC::Config: MAX_LXC_NETWORKS, MAX_MOUNT_POINTS)."""


def _fault(parameter: Parameter, value: str, path: str) -> str | None:
    if not _KINDS[parameter.kind].fullmatch(value):
        return f"type check ('{parameter.kind}') failed - got '{value}'"
    if parameter.parts and (wrong := _parts_fault(parameter.parts, value, path)):
        return f"invalid format - {wrong}\n"
    if parameter.format and (wrong := formats.fault(parameter.format, value)):
        return f"invalid format - {wrong}\n"
    if parameter.pattern and not re.fullmatch(parameter.pattern, value):
        return "value does not match the regex pattern"
    return _bounds_fault(parameter, value)


def _bounds_fault(parameter: Parameter, value: str) -> str | None:
    if parameter.max_length is not None and len(value) > parameter.max_length:
        return f"value may only be {parameter.max_length} characters long"
    if parameter.min_length is not None and len(value) < parameter.min_length:
        return f"value must be at least {parameter.min_length} characters long"
    if parameter.kind in ("integer", "number"):
        if parameter.maximum is not None and float(value) > parameter.maximum:
            return f"value must have a maximum value of {parameter.maximum}"
        if parameter.minimum is not None and float(value) < parameter.minimum:
            return f"value must have a minimum value of {parameter.minimum}"
    if parameter.choices and value not in parameter.choices:
        return f"value '{value}' does not have a value in the enumeration '{', '.join(parameter.choices)}'"
    return None


def _parts_fault(parts: Parts, value: str, path: str) -> str | None:
    try:
        options = split_options(parts, value)
    except ValueError as error:
        return str(error)
    faults = check(parts, options, prefix=f"{path}.")
    if not faults:
        return None
    return "format error\n" + "\n".join(f"{name}: {fault}" for name, fault in sorted(faults.items()))


def split_options(parts: Parts, value: str) -> dict[str, str]:
    """Split `key=value,key=value`; a lone value is that of the default key. Flags become 0 or 1."""
    default = next((name for name, part in parts.items() if part.is_default_key), None)
    options: dict[str, str] = {}
    for piece in filter(None, value.split(",")):
        key, separator, content = piece.partition("=")
        if not separator:
            if default is None:
                raise ValueError("value without key, but schema does not define a default key")
            key, content = default, piece
        if key in options:
            raise ValueError(f"duplicate key in comma-separated list property: {key}")
        part = parts.get(key)
        is_flag = part is not None and part.kind == "boolean"
        options[key] = _FLAGS.get(content.lower(), content) if is_flag else content
    return options


def join_options(parts: Parts, options: Mapping[str, str]) -> str:
    """Write options as Proxmox stores them: the default key bare, then required ones, then by name."""

    def rank(name: str) -> tuple[bool, bool, str]:
        return not parts[name].is_default_key, not parts[name].required, name

    return ",".join(
        options[name] if parts[name].is_default_key else f"{name}={options[name]}"
        for name in sorted(options, key=rank)
    )


_FLAGS = {"on": "1", "yes": "1", "true": "1", "off": "0", "no": "0", "false": "0"}
_KINDS: Mapping[Kind, re.Pattern[str]] = {
    "string": re.compile(r"(?s).*"),
    "array": re.compile(r"(?s).*"),
    "integer": re.compile(r"[+-]?\d+"),
    "number": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"),
    "boolean": re.compile(r"[01]"),
}
