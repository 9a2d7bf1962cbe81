"""What Proxmox sends and what Slipway reads; every case is a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipway.proxmox import answers, interfaces, storage_answers, task_answers
from slipway.proxmox.fields import Answer
from slipway.proxmox.upid import Upid

CASES = Path(__file__).parent / "cases" / "answers"


@pytest.mark.parametrize("file", sorted(CASES.glob("*.json")), ids=lambda file: file.stem)
def test_an_answer_is_read(file: Path) -> None:
    """Fields have our types; what Proxmox left out is None."""
    case = json.loads(file.read_text())
    models = vars(task_answers) | vars(interfaces) | vars(storage_answers) | vars(answers)
    model: type[Answer] = models[case["model"]]

    answer = model.model_validate(case["data"])

    for name, expected in case["expected"].items():
        assert plain(getattr(answer, name)) == expected, name


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return value


def test_a_upid_shows_its_parts() -> None:
    """The user keeps the token that asked."""
    upid = Upid("UPID:pve1:000004C8:0002B7A6:6B03A72C:vzcreate:100:slipway@pve!api:")

    assert (upid.node, upid.type, upid.id, upid.user) == ("pve1", "vzcreate", "100", "slipway@pve!api")
    assert upid.starttime.timestamp() == 0x6B03A72C
    assert not upid.only_asks
    assert Upid(upid.replace("vzcreate", "hastart")).only_asks


@pytest.mark.parametrize(
    "text", ["", "garbage", "UPID:pve1:1:2:3:vzcreate:100:root@pam:", "UPID:a b:000004C8"]
)
def test_what_is_no_upid_is_refused(text: str) -> None:
    """A UPID goes into a path: nothing else may pass for one."""
    with pytest.raises(ValueError, match="not a UPID"):
        Upid(text)


def test_a_property_string_is_read() -> None:
    """A value without a key is the volume."""
    assert answers.options("local:100/disk.raw,size=2G") == {"volume": "local:100/disk.raw", "size": "2G"}
