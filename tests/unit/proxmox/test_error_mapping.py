"""What Proxmox answers and which error it stands for; every case is a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipway.contracts.problems import Failed, Rejected, Unavailable
from slipway.proxmox import errors
from slipway.proxmox.error_mapping import Refusal, exit_status_error, refusal_error
from slipway.proxmox.pct import own_error
from slipway.proxmox.upid import Upid

CASES = Path(__file__).parent / "cases"
UPID = Upid("UPID:pve1:000006AF:0002EAD7:6B03A7B0:vzcreate:202:root@pam:")


def cases(kind: str) -> list[Any]:
    """All cases of a kind, named by their files."""
    return [
        pytest.param(json.loads(file.read_text()), id=file.stem)
        for file in sorted((CASES / kind).glob("*.json"))
    ]


@pytest.mark.parametrize("case", cases("refusals"))
def test_a_refusal_becomes_the_error_it_stands_for(case: dict[str, Any]) -> None:
    """Body errors count more than the message, the message more than the reason."""
    body = case["body"] if isinstance(case["body"], dict) else {}
    refusal = Refusal(
        method=case["method"],
        path=case["path"],
        status=case["status"],
        reason=case["reason"],
        message=body.get("message") or "",
        errors=body.get("errors") or {},
    )

    error = refusal_error(refusal)

    expected = case["expected"]
    assert type(error).__name__ == expected["error"]
    assert error.message == expected.get("message", error.message)
    assert {each.field: each.message for each in error.errors} == expected.get("fields", {})
    assert expected.get("details", {}).items() <= error.details.items()
    assert error.details["path"] == case["path"]


@pytest.mark.parametrize("case", cases("exit_statuses"))
def test_a_failed_task_becomes_the_error_its_text_stands_for(case: dict[str, Any]) -> None:
    """Each error of a task names the task."""
    error = exit_status_error(UPID, case["status"])

    assert type(error).__name__ == case["expected"]["error"]
    assert error.details == {**case["expected"]["details"], "upid": UPID}


@pytest.mark.parametrize("case", cases("pct"))
def test_what_pct_says_becomes_the_error_it_stands_for(case: dict[str, Any]) -> None:
    """The text decides, not the exit code, which Proxmox shares with the command."""
    error = own_error(" ".join(case["command"][:3]), case["code"], case["stderr"], 100)

    assert type(error).__name__ == case["expected"]["error"]


def test_every_error_says_whose_move_it_is() -> None:
    """An error that is not sorted would be taken for a bug of ours."""
    kinds = (Rejected, Unavailable, Failed)
    classes: list[Any] = [each for each in vars(errors).values() if isinstance(each, type)]
    ours = [each for each in classes if each.__module__ == errors.__name__]

    assert all(issubclass(each, kinds) for each in ours)
    coded = [each for each in ours if "code" in vars(each)]
    assert len({each.code for each in coded}) == len(coded)
