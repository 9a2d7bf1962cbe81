"""The page's modules fit together: without this only a browser would notice."""

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[3] / "services" / "gateway" / "src" / "slipway" / "gateway" / "web"
MODULES = sorted(WEB.rglob("*.js"))
IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)"', re.MULTILINE)
MADE_AT_START = "job-kinds.js"
EXPORT = re.compile(r"^export (?:async )?(?:function|class|const|let)\*? (\w+)", re.MULTILINE)


@pytest.mark.parametrize("module", MODULES, ids=lambda each: str(each.relative_to(WEB)))
def test_what_is_imported_exists(module: Path) -> None:
    """Each imported file is there, and exports what is asked of it."""
    imports = [
        (module.parent / path, name.strip())
        for names, path in IMPORT.findall(module.read_text())
        if not path.endswith(MADE_AT_START)
        for name in names.split(",")
        if name.strip()
    ]

    lacking = [
        f"{name} of {file.name}"
        for file, name in imports
        if not file.is_file() or name not in EXPORT.findall(file.read_text())
    ]

    assert lacking == []
