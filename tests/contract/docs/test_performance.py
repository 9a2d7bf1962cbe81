"""The page about performance says what `make bench` has measured."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "docs" / "reference" / "performance.py"
RESULTS = ROOT / "bench" / "results.json"


def made(results: Path, folder: Path) -> str:
    """Make the page in a folder; its text."""
    for name in ("reference", "images"):
        (folder / name).mkdir()
    subprocess.run([sys.executable, str(SCRIPT), str(results), str(folder)], check=True, timeout=60)
    return (folder / "reference" / "performance.md").read_text()


def row(line: str, value: float | str, ratio: float | None) -> dict[str, object]:
    """Return one row as `make bench` writes it."""
    return {
        "line": line,
        "value": value,
        "unit": "ms",
        "beside": "asyncpg 0.06 ms",
        "ratio": ratio,
        "commit": "0a1b2c3",
        "load": 0.42,
    }


@pytest.mark.skipif(not RESULTS.exists(), reason="nothing was measured yet")
def test_page_is_current(tmp_path: Path) -> None:
    """The page was made from the results that are stored beside the bench."""
    page = made(RESULTS, tmp_path)

    assert (ROOT / "docs" / "reference" / "performance.md").read_text() == page


def test_row_of_the_table(tmp_path: Path) -> None:
    """A line shows its value, what stands beside it, its ratio, its commit and the load."""
    results = tmp_path / "results.json"
    results.write_text(json.dumps([row("read one container", 1.0423, 0.25)]))

    page = made(results, tmp_path)

    assert "| read one container | 1.04 ms | asyncpg 0.06 ms | 0.25 | 0a1b2c3 | 0.4 |" in page
    assert "## Growth" not in page


@pytest.mark.parametrize(
    ("name", "title", "file"),
    [
        ("creation job, {} at once: CPU for each without the lab", "CPU for each creation", "growth-jobs"),
        ("creation job, {} at once: time for each", "Time for each creation", "growth-jobs-time"),
    ],
)
def test_curve_of_growth(tmp_path: Path, name: str, title: str, file: str) -> None:
    """Lines that differ by a number become a plot of this build and of the baseline."""
    rows = [row(name.format(count), 200.0, 0.5) for count in ("1", "10", "100")]
    results = tmp_path / "results.json"
    results.write_text(json.dumps(rows))

    page = made(results, tmp_path)

    plot = ET.fromstring((tmp_path / "images" / f"{file}.svg").read_text())  # noqa: S314 - our own
    texts = [each.text for each in plot.iter("{http://www.w3.org/2000/svg}text")]
    assert f"![{title}, by jobs at once](../images/{file}.svg)" in page
    assert texts.count("200") == texts.count("400") == 3
