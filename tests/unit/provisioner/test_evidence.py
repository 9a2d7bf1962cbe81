"""What a failure shows is named, and never too large for its record."""

from typing import Any

import pytest

from slipway.contracts.problems import FieldError, Problem
from slipway.provisioner.failure_policy import with_evidence
from slipway.proxmox.errors import PctFailed

UPID = "UPID:pve1:000006AF:0002EAD7:6B03A7B0:vzdump:202:root@pam:"


@pytest.mark.parametrize(
    ("details", "command"),
    [
        ({"command": "apt-get install nginx", "method": "GET", "path": "/version"}, "apt-get install nginx"),
        ({"method": "POST", "path": "/nodes/pve1/lxc"}, "POST /nodes/pve1/lxc"),
        ({"upid": UPID}, "vzdump 202"),
        ({}, None),
    ],
)
def test_the_command_is_reported(details: dict[str, Any], command: str | None) -> None:
    """A command of ours, else the request, else the task."""
    problem = with_evidence(Problem(code="x", message="failed", details=details), None, "")

    assert problem.details.get("command") == command


def test_a_failure_fits_its_record() -> None:
    """Whatever a command wrote to its standard error."""
    error = PctFailed("x" * 2_000_000, stderr="y" * 2_000_000)
    error.errors = tuple(FieldError(field="a", message="z" * 10_000) for _ in range(500))

    problem = with_evidence(error.to_problem(), None, "line\n" * 60)

    assert len(problem.model_dump_json()) < 256 * 1024
    assert problem.details["last_lines"] == "line\n" * 60
    assert problem.message == "x" * 2000
