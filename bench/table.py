"""Figures: a row for each line, as a table and as JSON."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    what: str
    value: float | str
    beside: str = ""
    """The floor or peer of the same run, or what the figure is made of."""
    unit: str = ""
    ratio: float | None = None
    """To the baseline build in the same run."""
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    """How many programs wanted the processor when the line was measured."""

    def cells(self) -> tuple[str, str, str, str]:
        """Return the row of a table."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return self.what, f"{figure(self.value)} {self.unit}".strip(), self.beside, ratio

    def as_json(self, commit: str) -> dict[str, object]:
        """Return the row of `results.json`."""
        return {
            "line": self.what,
            "value": self.value,
            "unit": self.unit,
            "beside": self.beside,
            "ratio": self.ratio,
            "commit": commit,
            "load": round(self.load, 2),
        }


def compared(what: str, values: Mapping[str, Sequence[float]], unit: str, beside: str = "") -> Row:
    """Return the median of our build beside that of the baseline, if it took part.

    Args:
        what: the line.
        values: build to what its turns yielded; ours is the first.
        unit: of the values.
        beside: the floor or peer.
    """
    (_, ours), *others = values.items()
    mine, ratio, parts = median(ours), None, [beside] if beside else []
    for build, theirs in others:
        ratio = mine / median(theirs) if median(theirs) else None
        parts.insert(0, f"{build}: {figure(median(theirs))} {unit}".strip())
    return Row(what, mine, "; ".join(parts), unit, ratio)


def markdown(rows: Sequence[Row]) -> str:
    """Return the table."""
    head = "| line | measured | beside it, in the same run | ratio to the baseline |\n|---|---|---|---|\n"
    return head + "\n".join(f"| {' | '.join(row.cells())} |" for row in rows)


def save(rows: Sequence[Row], commit: str) -> None:
    """Write `results.json`; lines that were not measured this time stay as they were."""
    known = {each["line"]: each for each in load()}
    known |= {row.what: row.as_json(commit) for row in rows}
    RESULTS.write_text(json.dumps(list(known.values()), indent=1, ensure_ascii=False) + "\n")


def load() -> list[dict[str, object]]:
    """Read `results.json`, if there is one."""
    content: list[dict[str, object]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return content


def figure(value: float | str) -> str:
    """Write a number with three digits that count."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
