"""How a result is printed: a table in a terminal, lines with tabs for a program, or the API's own JSON."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TextIO

from slipway.cli.terminal import clean

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_PLAIN_KEY = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)\Z)[A-Za-z_][\w.-]*", re.IGNORECASE)
_BREAKS = re.compile(r"[^\S ]+")
"""White space but spaces."""
_STRANGE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
_WHOLE = frozenset({"id", "vmid", "address", "volume", "name", "hostname"})
"""Columns that one copies from: never broken."""


class Format(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"

    @property
    def is_whole(self) -> bool:
        """Whether the API's answer is printed as it is."""
        return self in {Format.JSON, Format.YAML}


def print_document(document: Mapping[str, Any], form: Format) -> None:
    """Print what the API answered, as JSON or YAML."""
    print("\n".join(_yaml(document)) if form is Format.YAML else _json(document, indent=2))


def _json(value: object, *, indent: int | None = None) -> str:
    """Return JSON in which nothing can steer a terminal."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _STRANGE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _yaml(value: object, indent: str = "") -> Iterator[str]:
    """Yield the lines of a JSON value as YAML: its blocks, with JSON's own strings and numbers inside."""
    match value:
        case {**entries} if entries:
            for name, each in entries.items():
                key = str(name) if _PLAIN_KEY.fullmatch(str(name)) else _json(name)
                yield from _entry(f"{indent}{key}:", each, f"{indent}  ")
        case [*items] if items:
            for each in items:
                yield from _entry(f"{indent}-", each, f"{indent}  ")
        case _:
            yield f"{indent}{_json(value)}"


def _entry(start: str, value: object, indent: str) -> Iterator[str]:
    """Yield an entry of a block: a scalar beside its start, anything else below it."""
    first, *rest = _yaml(value, indent)
    is_block = isinstance(value, dict | list) and value
    if is_block and start.endswith(":"):
        yield start
        yield first
    else:
        yield f"{start} {first.lstrip()}"
    yield from rest


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], file: TextIO | None = None) -> None:
    """Print a table in a terminal, and lines with tabs anywhere else."""
    file = file or sys.stdout
    cells = [[_cell(value) for value in row] for row in rows]
    if not file.isatty():
        for row in (columns, *cells):
            print("\t".join(row), file=file)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    for row in cells:
        table.add_row(*(Text(_short(cell)) for cell in row))
    Console(file=file).print(table)


def in_one_line(text: str) -> str:
    """Return a text that a cell shows whole: as it is, or as a JSON string if it would lose anything."""
    return text if _cell(text) == text else _json(text)


def _short(cell: str) -> str:
    """Return a moment in local time and whole seconds, and any other cell as it is."""
    if not _MOMENT.fullmatch(cell):
        return cell
    return f"{datetime.fromisoformat(cell).astimezone():%Y-%m-%d %H:%M:%S}"


def _cell(value: object) -> str:
    return "" if value is None else _BREAKS.sub(" ", clean(str(value))).strip()
