"""The checks of a cluster as people read them: what passed, what failed and what to do about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from slipway.cli.terminal import warn
from slipway.client.transport import ApiProblem

_MARKS = {"passed": "ok  ", "failed": "FAIL", "skipped": "-   "}


def check_lines(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines that show checks."""
    lines = []
    for check in checks:
        mark = _MARKS[check["state"]]
        if check["state"] == "failed" and not check["is_required"]:
            mark = "note"
        lines.append(f"  {mark} {check['name']:<17}{check['message']}".rstrip())
        if check["state"] == "failed" and check["remedy"]:
            lines.append(f"       {'':<17}-> {check['remedy']}")
    return lines


def report_checks(report: Callable[[str], None], checks: Sequence[Mapping[str, Any]]) -> None:
    """Report checks, one a line."""
    for line in check_lines(checks):
        report(line)


@contextmanager
def checks_of_refusal() -> Iterator[None]:
    """Show the checks of a cluster that is refused, beside the output."""
    try:
        yield
    except ApiProblem as problem:
        report_checks(warn, problem.checks)
        raise
