"""The generated pages of the reference say what the code says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.contracts.registry import MESSAGES

ROOT = Path(__file__).parents[3]
REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, made anew by the script in a folder of its own."""
    folder = tmp_path_factory.mktemp("reference")
    for script in REFERENCE.glob("*.py"):
        (folder / script.name).write_text(script.read_text())
    subprocess.run([sys.executable, str(folder / "generate.py")], check=True)
    return folder


@pytest.mark.parametrize("page", ["settings.md", "errors.md", "states.md", "messages.md", "commands.md"])
def test_page_is_current(made: Path, page: str) -> None:
    """`make docs` would change nothing."""
    assert (REFERENCE / page).read_text() == (made / page).read_text()


def test_every_subject_is_documented() -> None:
    """No message is missing on the page."""
    page = (REFERENCE / "messages.md").read_text()

    assert [
        each.subject for each in MESSAGES if f"| `{each.subject}` | `{each.__name__}` |" not in page
    ] == []


def test_every_variable_is_documented() -> None:
    """What the sources read from the environment stands in the reference."""
    pages = "".join(page.read_text() for page in REFERENCE.glob("*.md"))
    sources = [*ROOT.glob("*/src/**/*.py"), *ROOT.glob("*/*/src/**/*.py")]
    named = {name for file in sources for name in re.findall(r'"(SLIPWAY_[A-Z_]+[A-Z])"', file.read_text())}

    assert {"SLIPWAY_URL", "SLIPWAY_PROXMOX_RECORD"} <= named
    assert sorted(name for name in named if f"{name.removesuffix('_FILE')}" not in pages) == []


def test_every_page_is_found_in_the_site() -> None:
    """A page that stands in no menu is read by nobody."""
    menu = (ROOT / "mkdocs.yml").read_text()
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]

    assert [str(page) for page in pages if f": {page}\n" not in menu + "\n"] == []
