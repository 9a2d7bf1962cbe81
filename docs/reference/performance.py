"""Writes `performance.md` and its plots from `bench/results.json`; `make bench` runs it.

    python docs/reference/performance.py RESULTS FOLDER

`FOLDER` is that of the documentation.
"""

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

HEAD = """\
<!-- made by docs/reference/performance.py: change bench/, not this page -->
# Performance

Measured with `make bench`: a whole Slipway with the lab's simulated guests. What each line is stands in
`bench/README.md`; run it on your machine. Counts and CPU hardly differ on a busy machine, times do.
*Load* is how many programs wanted the processor when the line was measured; the *ratio* is to the build
`1cc96ad`, measured in turns with it (0.25: a quarter of it).

| line | measured | beside it, in the same run | ratio | commit | load |
|---|---|---|---|---|---|
"""
TAIL = """\

## Growth
"""
NOTES = """\

- **CPU** is that of all processes of a stack, its servers too, but the lab's; for a creation it is what is
  used beyond the stack's rest.
- **202 to the first phase** is from the fact that a job was accepted to that of its first phase,
  by the clocks of those who write them down.
- **Statements** of PostgreSQL include begins, commits and what asks whether a connection lives; polls
  that fall into a creation count.
- **Memory** is the proportional set size: what processes share is divided among them.
- **Soak**: a day takes 20 seconds; what is done on it is done in full, and every span after which something
  ends is shortened as much. What lives for 90 days or a year otherwise lives for ten days there, so that it
  ends within the month; the default keeps nine times as much of each day's growth. What a quiet day writes
  is measured at its own pace. PSS counts what is shared in part, and no file that is only cached. The one
  setting that such a small host has is `SLIPWAY_POOL_SIZE=3`: each connection is a process of PostgreSQL.
- **Slow node**: both builds create on a lab of this build, whose tasks take next to nothing; so all of the
  time but one start of `pct` counts as Slipway's.
- **Time for each creation** includes the node's own: each build has its own lab, and this build's checks
  more. Asked directly, it takes 0.05 s longer to create a container and 0.1 s longer to start one.
- **Cancel**: on a real node the end of the script is one more `pct exec` over the SSH connection that is open
  already, about half a second more.
"""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 64, 130, 40, 44
COLOURS = ("#3f7fbf", "#b36b00")
BASELINE = "1cc96ad"


@dataclass(frozen=True, slots=True)
class Curve:
    """A plot: lines of the results whose names differ by a number."""

    file: str
    title: str
    axis: str
    pattern: str


CURVES = (
    Curve(
        "growth-containers.svg",
        "CPU for a list of 100",
        "containers",
        r"list of 100 at ([\d,]+) containers, CPU of all processes",
    ),
    Curve(
        "growth-viewers.svg",
        "CPU of the gateway for one delivery",
        "viewers",
        r"an event to ([\d,]+) viewers?, CPU of the gateway for a delivery",
    ),
    Curve(
        "growth-jobs.svg",
        "CPU for each creation",
        "jobs at once",
        r"creation job, ([\d,]+) at once: CPU for each without the lab",
    ),
    Curve(
        "growth-jobs-time.svg",
        "Time for each creation",
        "jobs at once",
        r"creation job, ([\d,]+) at once: time for each",
    ),
)
Points = Sequence[tuple[float, float]]


def main(results: Path, folder: Path) -> None:
    """Write the page and the plots of the curves that have at least two points."""
    rows: list[dict[str, Any]] = json.loads(results.read_text(encoding="utf-8"))
    page = HEAD + "".join(f"| {' | '.join(_cells(row))} |\n" for row in rows) + NOTES
    plots = ""
    for curve in CURVES:
        series = {name: points for name, points in _series(curve, rows).items() if len(points) > 1}
        if series:
            (folder / "images" / curve.file).write_text(plot(curve, series), encoding="utf-8")
            plots += f"\n![{curve.title}, by {curve.axis}](../images/{curve.file})\n"
    page += TAIL + plots if plots else ""
    (folder / "reference" / "performance.md").write_text(page, encoding="utf-8")


def _cells(row: Mapping[str, Any]) -> list[str]:
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    value = f"{_figure(row['value'])} {row['unit']}".strip()
    return [row["line"], value, row["beside"], ratio, row["commit"], f"{row['load']:.1f}"]


def _figure(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits count


def _series(curve: Curve, rows: Sequence[Mapping[str, Any]]) -> dict[str, Points]:
    ours, theirs = [], []
    for row in rows:
        if found := re.fullmatch(curve.pattern, row["line"]):
            count = float(found[1].replace(",", ""))
            ours.append((count, row["value"]))
            if row["ratio"]:
                theirs.append((count, row["value"] / row["ratio"]))
    unit = next((row["unit"] for row in rows if re.fullmatch(curve.pattern, row["line"])), "")
    return {f"this build, {unit}": sorted(ours), f"{BASELINE}, {unit}": sorted(theirs)}


def plot(curve: Curve, series: Mapping[str, Points]) -> str:
    """Draw lines over a logarithmic axis; each point says its value."""
    counts = sorted({count for points in series.values() for count, _ in points})
    top = max(value for points in series.values() for _, value in points) or 1.0
    first, last = math.log10(counts[0]), math.log10(counts[-1])

    def at(count: float, value: float) -> tuple[float, float]:
        x = LEFT + (math.log10(count) - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    base = HEIGHT - BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12" fill="#888">',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(curve.title)}</text>',
        f'<path d="M{LEFT} {TOP}V{base}H{WIDTH - RIGHT}" fill="none" stroke="#888"/>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(curve.axis)}</text>',
    ]
    for count in counts:
        x, _ = at(count, 0)
        parts.append(f'<text x="{x:.0f}" y="{base + 18}" text-anchor="middle">{count:,.0f}</text>')
    for number, ((name, points), colour) in enumerate(zip(series.items(), COLOURS, strict=False)):
        places = [at(*point) for point in points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (_, value) in zip(places, points, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
            label = f'<text x="{x:.1f}" y="{y + (-8, 18)[number]:.1f}" text-anchor="middle" fill="{colour}">'
            parts.append(f"{label}{_figure(value)}</text>")
        at_name = f'x="{WIDTH - RIGHT + 12}" y="{TOP + 18 * number}"'
        parts.append(f'<text {at_name} fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
