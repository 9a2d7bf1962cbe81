"""Lists and sentences in a terminal; anywhere else plain lines with tabs, for programs that read them."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from slipway.cli.output import clean

_WHOLE = frozenset({"id", "vmid", "address", "volume", "name", "hostname"})
"""Columns that one copies from: never broken."""


def tell(console: Console, words: str, style: str = "") -> None:
    """Say a sentence on one line; the words may be somebody else's."""
    console.print(Text(clean(words), style=style), soft_wrap=True)


def complain(words: str) -> None:
    """Say something beside the output."""
    sys.stderr.write(f"{clean(words)}\n")


def show_items(names: Sequence[str], items: Iterable[Mapping[str, Any]]) -> None:
    """Show some fields of each item."""
    show_rows(Console(), names, ([each.get(name) for name in names] for each in items))


def show_rows(console: Console, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Show a table."""
    words = [[_cell(value) for value in row] for row in rows]
    if not console.is_terminal:
        for row in (names, *words):
            # Not by the console: it would turn tabs into spaces.
            print("\t".join(row), file=console.file)
        return
    table = Table()
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name in _WHOLE)
    for row in words:
        table.add_row(*(Text(word) for word in row))
    console.print(table)


def _cell(value: object) -> str:
    return "" if value is None else " ".join(clean(str(value)).split())
