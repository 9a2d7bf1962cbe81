"""Figures as a table."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    what: str
    figure: str
    beside: str = ""
    """The peer of the same run, or what it is made of."""


def markdown(rows: Sequence[Row]) -> str:
    """Return the table."""
    head = "| what | measured | beside it |\n|---|---|---|\n"
    return head + "\n".join(f"| {row.what} | {row.figure} | {row.beside} |" for row in rows)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
