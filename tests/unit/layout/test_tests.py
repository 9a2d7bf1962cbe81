"""Every test asserts something of its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASSERTIONS = {"raises", "fail", "expect"}
"""Of pytest and of Playwright."""
MACHINES = {"test_claims_in_any_order", "test_run_in_any_order"}
"""Their rules and invariants assert, after each step that hypothesis chooses."""


def test_each_test_asserts() -> None:
    """A test without an assertion shows only that nothing was raised."""
    silent = {
        f"{file.relative_to(ROOT)}: {test.name}"
        for file in ROOT.rglob("test_*.py")
        for test in _tests(ast.parse(file.read_text()))
        if test.name not in MACHINES and not any(map(_asserts, ast.walk(test)))
    }

    assert silent == set()


def _tests(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).rpartition(".")[2] in ASSERTIONS
    return isinstance(node, ast.Assert)
