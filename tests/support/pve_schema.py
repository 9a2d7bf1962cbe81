"""Requests that were sent, against what Proxmox' API takes.

`check_record` reads a file that `slipway.proxmox` wrote (`SLIPWAY_PROXMOX_RECORD`: JSON lines with method,
path, params, status, ms) and names every request that does not fit the table of calls, `slipway.lab.schema`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from slipway.lab.schema import formats
from slipway.lab.schema.calls import TABLE

PREFIX = "/api2/json"
NUMBERED = re.compile(r"([a-z]+)\d+")
KINDS = {
    "string": re.compile(r"(?s).*"),
    "integer": re.compile(r"[+-]?\d+"),
    "number": re.compile(r"[+-]?\d+(\.\d+)?"),
    "boolean": re.compile(r"[01]"),
}


def check_record(path: Path) -> list[str]:
    """Return every request of a record that Proxmox' API would not take."""
    violations: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        sent = json.loads(line)
        errors = check_request(sent["method"], sent["path"], sent.get("params") or {})
        violations += [f"{path.name}:{number}: {sent['method']} {sent['path']}: {one}" for one in errors]
    return violations


def check_request(method: str, path: str, params: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with one request."""
    parts = urlsplit(path)
    plain = unquote(parts.path).removeprefix(PREFIX).rstrip("/") or "/"
    call, in_path = _find(f"{method} {plain}")
    if call is None:
        return ["no such call is in use"]
    values = {**dict(parse_qsl(parts.query)), **params, **in_path}
    return list(_violations(TABLE[call]["parameters"], values))


def _find(asked: str) -> tuple[str | None, dict[str, str]]:
    for call in TABLE:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(call))
        if match := re.fullmatch(pattern, asked):
            return call, match.groupdict()
    return None, {}


def _violations(declared: Mapping[str, Any], values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        rule = declared.get(name) or declared.get(NUMBERED.sub(r"\1[n]", name))
        if rule is None:
            yield f"{prefix}{name} is not in the schema"
        elif not _is_masked(value):
            yield from _value_violations(rule, _text(value), f"{prefix}{name}")
            if (needed := rule.get("requires")) and needed not in values:
                yield f"{prefix}{name} requires {needed}"
    for name, rule in declared.items():
        if not rule.get("optional") and name not in values:
            yield f"{prefix}{name} is missing"


def _value_violations(rule: Mapping[str, Any], value: str, name: str) -> Iterator[str]:
    if not KINDS[rule["type"]].fullmatch(value):
        yield f"{name} is no {rule['type']}: {value!r}"
        return
    if isinstance(rule.get("format"), dict):
        yield from _violations(rule["format"], _split(rule["format"], value), f"{name}.")
    elif wrong := formats.fault(rule.get("format", ""), value):
        yield f"{name}: {wrong}"
    if "pattern" in rule and not re.fullmatch(rule["pattern"], value):
        yield f"{name} does not match {rule['pattern']}: {value!r}"
    if "enum" in rule and value not in rule["enum"]:
        yield f"{name} is none of {rule['enum']}: {value!r}"
    if not rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", len(value)):
        yield f"{name} has the wrong length: {len(value)}"
    if rule["type"] in ("integer", "number") and not _is_within(rule, float(value)):
        yield f"{name} is out of bounds: {value}"


def _is_within(rule: Mapping[str, Any], value: float) -> bool:
    return bool(rule.get("minimum", value) <= value <= rule.get("maximum", value))


def _split(parts: Mapping[str, Any], value: str) -> dict[str, str]:
    default = next((name for name, part in parts.items() if part.get("default_key")), "")
    pairs = (piece.partition("=") if "=" in piece else (default, "=", piece) for piece in value.split(","))
    return {name: content for name, _, content in pairs}


def _is_masked(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith("<") or set(value) == {"*"})


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
