"""The generated pages of the reference say what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, made anew by the script in a folder of its own."""
    folder = tmp_path_factory.mktemp("reference")
    script = folder / "generate.py"
    script.write_text((REFERENCE / "generate.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True)
    return folder


@pytest.mark.parametrize("page", ["settings.md", "errors.md", "states.md"])
def test_page_is_current(made: Path, page: str) -> None:
    """`make docs` would change nothing."""
    assert (REFERENCE / page).read_text() == (made / page).read_text()
