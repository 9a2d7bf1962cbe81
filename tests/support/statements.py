"""Counts what a test's process sends to its databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

Statements = list[str]


@contextmanager
def counted_statements() -> Iterator[Statements]:
    """List every statement that is sent while the block runs; transactions and pings are not among them."""
    statements: Statements = []

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: Any
    ) -> None:
        statements.extend([statement] * (len(parameters) if many else 1))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
