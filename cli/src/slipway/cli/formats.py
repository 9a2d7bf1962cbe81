"""How a result is printed: a table in a terminal, lines with tabs for a program, or the API's own JSON."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TextIO

from slipway.cli.terminal import clean

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
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
    if form is Format.JSON:
        print(json.dumps(document, indent=2, ensure_ascii=False))
        return
    # Only this format needs it.
    import yaml

    print(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), end="")


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


def _short(cell: str) -> str:
    """Return a moment in local time and whole seconds, and any other cell as it is."""
    if not _MOMENT.fullmatch(cell):
        return cell
    return f"{datetime.fromisoformat(cell).astimezone():%Y-%m-%d %H:%M:%S}"


def _cell(value: object) -> str:
    return "" if value is None else " ".join(clean(str(value)).split())
